// The Node programs as one executable: a script bundled by esbuild inside a copy of Node (a single executable
// application), which starts in half the time of a script file and needs no Node on the machine. Each daemon's name is
// a link to it. A program's code is only evaluated when it is the one called: every import() stays lazy in the bundle.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { layout } from "./paths.ts";
import { run } from "./run.ts";

/** Names and their entries, which export `main(args: string[]): Promise<number>`. */
const PROGRAMS = [
  { name: "dockerd", entry: "programs/dockerd/main.ts" },
  { name: "containerd", entry: "programs/containerd/main.ts" },
  { name: "ctr", entry: "programs/ctr/main.ts" },
  { name: "docker-tls", entry: "programs/docker/node.ts" },
];
/** V8 lets young objects fill 3 x 16 MB before it looks which of them live, and keeps that memory: 60 MB of a daemon
 *  whose objects all die with their request. At 1 MB it looks more often, at no cost that could be measured. */
// "--": Node would take a program's own --env-file (ctr run has one) for its own, wherever it stands.
const EXEC_ARGV = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=1", "--"];
const EXECUTABLE = "gantry-node";

export async function buildDaemons(): Promise<void> {
  const present = PROGRAMS.filter((program) => existsSync(join(layout.root, program.entry)));
  if (present.length === 0) return;
  const script = await bundle(present);
  const executable = join(layout.bin, EXECUTABLE);
  const record = join(layout.work, "daemons.digest");
  const digest = createHash("sha256").update(script).update(EXEC_ARGV.join(" ")).digest("hex");
  const current = existsSync(executable) && existsSync(record) && readFileSync(record, "utf8") === digest;
  if (!current) packageScript(script, executable);
  writeFileSync(record, digest);
  for (const { name } of present) {
    rmSync(join(layout.bin, name), { force: true });
    symlinkSync(EXECUTABLE, join(layout.bin, name));
  }
}

function packageScript(script: string, executable: string): void {
  const source = join(layout.work, "daemons.cjs");
  const config = join(layout.work, "daemons.json");
  const aside = `${executable}.new`;
  writeFileSync(source, script);
  const settings = { main: source, output: aside, disableExperimentalSEAWarning: true, useCodeCache: true };
  // execArgvExtension: NODE_OPTIONS of the caller's environment is not for the daemons.
  const flags = { execArgv: EXEC_ARGV, execArgvExtension: "none" };
  writeFileSync(config, JSON.stringify({ ...settings, ...flags }));
  run(process.execPath, ["--build-sea", config]);
  run("mv", [aside, executable]);
}

async function bundle(programs: readonly { name: string; entry: string }[]): Promise<string> {
  const cases = programs.map(({ name, entry }) => `  "${name}": () => import("./${entry}"),`);
  const entry = `
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
const programs = {
${cases.join("\n")}
};
const called = basename(process.argv[1] ?? process.argv0);
const bare = called.replace(/^docker-(?=containerd|dockerd)/, "").replace(/-current$/, "");
const load = programs[called] ?? programs[bare];
if (load === undefined) {
  process.stderr.write(called + ": call this file by one of the names " + Object.keys(programs).join(", ") + "\\n");
  process.exitCode = 125;
} else {
  // Node calls its main thread "MainThread"; process.title would hide the arguments from ps.
  writeFileSync("/proc/self/comm", bare);
  load().then((program) => program.main(process.argv.slice(2))).then(
    (code) => { process.exitCode = code; },
    (thrown) => {
      process.stderr.write(bare + ": " + (thrown instanceof Error ? thrown.stack : String(thrown)) + "\\n");
      process.exit(1);
    },
  );
}`;
  const result = await build({
    stdin: { contents: entry, resolveDir: layout.root, loader: "ts" },
    bundle: true,
    write: false,
    format: "cjs",
    platform: "node",
    target: "node26",
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: "error",
    logOverride: { "empty-import-meta": "silent" },
  });
  return result.outputFiles[0]!.text;
}
