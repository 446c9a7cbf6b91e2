// The fuzz of whole programs: the shipped runc gets mutated files on the real kernel. Runs as a process of its own,
// in its own pid, mount, network, ipc and uts namespaces (driver.ts), so that whatever a case leaves behind is seen:
// any process but this one and its two parents, any new mount, any cgroup below the fuzz's own, anything in the state
// root.
//
//     kernel.ts <directory> <seed> <first case> <cases>       one line per ten cases, then the figures as JSON

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { layout } from "../../tools/build/paths.ts";
import { fullConfig, fullProcess, fullResources, records } from "./corpus.ts";
import type { Figures } from "./driver.ts";
import { harmless } from "./harmless.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

const RUNC = join(layout.bin, "runc");
/** One command may take this long, in milliseconds. */
const LIMIT = 20_000;
const REPORT_EACH = 10;
const SETTLE_ROUNDS = 200;

const [directory, seed, first, cases] = process.argv.slice(2) as [string, string, string, string];
const tag = `gantry-fuzz-${directory.slice(-6)}`;
const root = join(directory, "rootfs");
const state = join(directory, "state");
const encoder = new TextEncoder();
const figures: Figures = { cases: 0, succeeded: 0, refused: 0, slowest: 0, defects: [] };

mkdirSync(join(root, "bin"), { recursive: true });
copyFileSync("/bin/busybox", join(root, "bin/busybox"));
for (const applet of ["true", "sleep", "sh"]) symlinkSync("busybox", join(root, "bin", applet));
const mountsBefore = readFileSync("/proc/self/mountinfo", "utf8");
const groups = cgroupParents();

for (let number = Number(first); number < Number(first) + Number(cases); number++) {
  const began = performance.now();
  const problems = runCase(new Random(Number(seed) * 7_000_003 + number));
  figures.cases++;
  figures.slowest = Math.max(figures.slowest, performance.now() - began);
  figures.defects.push(...problems.map((problem) => `kernel case ${number}: ${problem}`));
  if (figures.cases % REPORT_EACH === 0) process.stdout.write(`${number}\n`);
}
for (const parent of groups) {
  if (existsSync(join(parent, tag))) clearGroup(join(parent, tag));
}
process.stdout.write(`${JSON.stringify(figures)}\n`);

/** What went wrong, in sentences. */
function runCase(random: Random): string[] {
  const problems: string[] = [];
  const kind = random.pick(["run", "run", "run", "create", "create", "exec", "update", "state"] as const);
  const id = "fuzz";
  const steps = { run, create, exec, update, state: damaged }[kind](id, random, problems);
  expectRemoved(id, problems);
  problems.push(...remains());
  return problems.map((problem) => `${kind} (${steps.join(", ")}): ${problem}`);
}

function run(id: string, random: Random, problems: string[]): string[] {
  const steps = mutateInto("config.json", fullConfig("rootfs", `/${tag}/c`), random);
  count(command(["run", id], problems));
  return steps;
}

function create(id: string, random: Random, problems: string[]): string[] {
  const steps = mutateInto("config.json", fullConfig("rootfs", `/${tag}/c`), random);
  if (count(command(["create", id], problems)) === 0) {
    command(["state", id], problems);
    command(["start", id], problems);
  }
  return steps;
}

function exec(id: string, random: Random, problems: string[]): string[] {
  running(id, problems);
  const steps = mutateInto("process.json", fullProcess(), random);
  count(command(["exec", "--process", "process.json", id], problems));
  return steps;
}

function update(id: string, random: Random, problems: string[]): string[] {
  running(id, problems);
  const steps = mutateInto("resources.json", fullResources(), random);
  count(command(["update", "--resources", "resources.json", id], problems));
  return steps;
}

/** A record that something else has written over. */
function damaged(id: string, random: Random, problems: string[]): string[] {
  const file = join(state, id, "state.json");
  let record: unknown = random.pick(records(id, root));
  if (random.oneIn(2)) {
    running(id, problems);
    record = JSON.parse(readFileSync(file, "utf8"));
  } else mkdirSync(join(state, id), { recursive: true });
  const steps = mutateInto(join("state", id, "state.json"), record, random);
  count(command(["state", id], problems));
  command(["list"], problems);
  command(["kill", id, "0"], problems);
  command(["delete", id], problems);
  return steps;
}

function running(id: string, problems: string[]): void {
  const config = fullConfig("rootfs", `/${tag}/c`) as { process: { args: string[] }; hooks: unknown };
  config.process.args = ["sleep", "30"];
  config.hooks = {};
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  const { status, said } = command(["run", "--detach", id], problems);
  if (status !== 0) problems.push(`an ordinary container does not start: ${said}`);
}

function mutateInto(file: string, value: unknown, random: Random): string[] {
  const { bytes, steps } = mutate(JSON.stringify(value), random, (text) => encoder.encode(text));
  writeFileSync(join(directory, file), harmless(bytes, directory, tag));
  return steps;
}

interface Ended {
  status: number | null;
  said: string;
}

function command(args: readonly string[], problems: string[]): Ended {
  const line = ["--root", state, "--log", join(directory, "log"), "--log-format", "json", ...args];
  rmSync(join(directory, "log"), { force: true });
  const result = spawnSync(RUNC, line, { cwd: directory, timeout: LIMIT, killSignal: "SIGKILL", stdio: "ignore" });
  const said = existsSync(join(directory, "log")) ? readFileSync(join(directory, "log"), "utf8") : "";
  const name = args[0];
  if (result.error !== undefined) problems.push(`${name} hangs`);
  else if (result.signal !== null) problems.push(`${name} died of ${result.signal}`);
  else if (result.status !== 0 && result.status! < 128 && !/"level":"error","msg":"[^"]{8}/.test(said)) {
    // A program's own code is no error of runc's.
    if (name !== "run" && name !== "exec") problems.push(`${name} gives ${result.status} without a reason`);
  }
  if (/TypeError|ReferenceError|InternalError|impossible state|not a function|undefined/.test(said)) {
    problems.push(`${name} says ${said.slice(0, 400)}`);
  }
  return { status: result.status, said };
}

function count({ status }: Ended): number | null {
  if (status === 0) figures.succeeded++;
  else figures.refused++;
  return status;
}

function expectRemoved(id: string, problems: string[]): void {
  const { status, said } = command(["delete", "--force", id], problems);
  if (status !== 0) problems.push(`delete --force: ${said.slice(0, 400)}`);
}

function remains(): string[] {
  let left = look();
  for (let round = 0; left.length > 0 && round < SETTLE_ROUNDS; round++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    left = look();
  }
  // What one case left is not to be counted again with the next.
  if (left.length > 0) rmSync(state, { recursive: true, force: true });
  return left;
}

function look(): string[] {
  const left: string[] = [];
  const others = readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && name !== "1" && Number(name) !== process.pid,
  );
  for (const pid of others) {
    const status = textOf(`/proc/${pid}/stat`);
    if (status !== "" && !/\) Z /.test(status)) left.push(`process ${status.slice(0, 40)}`);
  }
  if (readFileSync("/proc/self/mountinfo", "utf8") !== mountsBefore) left.push("a mount");
  for (const parent of groups) {
    const own = join(parent, tag);
    const below = existsSync(own) ? directoriesIn(own) : [];
    left.push(...below.map((name) => `cgroup ${own}/${name}`));
  }
  const names = existsSync(state) ? readdirSync(state) : [];
  left.push(...names.filter((name) => !name.startsWith(".seccomp-")).map((name) => `state ${name}`));
  return left;
}

function cgroupParents(): string[] {
  const top = "/sys/fs/cgroup";
  return [top, ...directoriesIn(top).map((name) => join(top, name))].filter((path) =>
    existsSync(join(path, "cgroup.procs")),
  );
}

function directoriesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

function clearGroup(path: string): void {
  for (const name of directoriesIn(path)) clearGroup(join(path, name));
  spawnSync("rmdir", [path]);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
