// Running a build step's command: its output is shown only when it fails, and the failure ends the build.

import { spawnSync } from "node:child_process";

interface Options {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

const OUTPUT_LIMIT = 64 << 20; // bytes

export function run(command: string, args: readonly string[], options: Options = {}): void {
  output(command, args, options);
}

/** What it wrote to its standard output. */
export function output(command: string, args: readonly string[], options: Options = {}): string {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: OUTPUT_LIMIT, ...options });
  if (result.error !== undefined || result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
    process.stderr.write(`build: ${command} ${args.join(" ")}: ${result.error?.message ?? `exit ${result.status}`}\n`);
    process.exit(1);
  }
  return result.stdout;
}
