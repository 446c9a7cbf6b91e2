// Running a build step's command: its output is shown only when it fails, and the failure ends the build.

import { spawnSync } from "node:child_process";

export function run(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", ...options });
  if (result.error !== undefined || result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
    process.stderr.write(`build: ${command} ${args.join(" ")}: ${result.error?.message ?? `exit ${result.status}`}\n`);
    process.exit(1);
  }
}
