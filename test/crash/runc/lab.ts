// What the crash tests of runc share: a place for containers, the runc that crashes on order, and a look at all that a
// container may leave: processes (also those that have not entered their root yet), mounts, cgroups, files.

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ORIGINAL, OURS, RuntimeBench } from "../../bundle.ts";

/** Something that ends by itself (a child that notices its parent's end) may take this long, in milliseconds. */
const SETTLE = 3000;
const LOOK = 5;

export interface Crashed {
  status: number | null;
  signal: string | null;
  /** What runc said. */
  said: string;
}

export class CrashLab extends RuntimeBench {
  readonly #crasher: string;
  readonly #parents = cgroupParents();

  constructor(crasher = OURS) {
    super();
    this.#crasher = crasher;
  }

  /** Runs one command with an order to crash (main.ts); "" for none. */
  crash(order: string, args: readonly string[]): Crashed {
    const log = join(this.path, "reached");
    if (order !== "") rmSync(log, { force: true });
    const env = { ...process.env, GANTRY_CRASH: order, GANTRY_CRASH_LOG: log };
    const errors = join(this.path, "errors.json");
    rmSync(errors, { force: true });
    const line = ["--root", this.rootOf(OURS), "--log", errors, "--log-format", "json", ...args];
    // A file, because a container would keep a pipe open.
    const stderr = openSync(join(this.path, "errors.txt"), "w");
    const limits = { timeout: 20_000, killSignal: "SIGKILL" } as const;
    const result = spawnSync(this.#crasher, line, {
      cwd: this.path,
      env,
      ...limits,
      stdio: ["ignore", "ignore", stderr],
    });
    closeSync(stderr);
    return {
      status: result.status,
      signal: result.error !== undefined ? "hung" : result.signal,
      said: [errors, join(this.path, "errors.txt")].map(textIfThere).join(""),
    };
  }

  /** Whether the last order's place was passed; a container's process may come there some time after the command. */
  reached(): boolean {
    const log = join(this.path, "reached");
    return existsSync(log) && readFileSync(log, "utf8") !== "";
  }

  /** Null when it says a status or that there is no container; else what is wrong. */
  stateProblem(id: string): string | null {
    const state = this.runc(["state", id]);
    if (state.status !== 0)
      return this.lastError() === "container does not exist" ? null : `state: ${this.lastError()}`;
    const { status } = JSON.parse(state.stdout) as { status: string };
    return ["creating", "created", "running", "paused", "stopped"].includes(status) ? null : `status ${status}`;
  }

  /** What is left of all containers of this place, once what ends by itself has had its time. */
  remains(): string[] {
    let left = this.#look();
    for (let waited = 0; left.length > 0 && waited < SETTLE; waited += LOOK) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK);
      left = this.#look();
    }
    return left;
  }

  #look(): string[] {
    const left: string[] = [];
    for (const parent of this.#parents) {
      for (const name of readdirSync(parent))
        if (name.startsWith(`${this.tag}-`)) left.push(`cgroup ${parent}/${name}`);
    }
    const root = this.rootOf(OURS);
    const files = existsSync(root) ? readdirSync(root) : [];
    left.push(...files.filter((name) => !name.startsWith(".seccomp-")).map((name) => `state ${name}`));
    const beside = readdirSync(this.path).filter((name) => name.includes("tmp"));
    left.push(...beside.map((name) => `file ${name}`));
    if (readFileSync("/proc/self/mountinfo", "utf8").includes(this.tag)) left.push("mount");
    left.push(...this.processes().map((pid) => `process ${pid} ${commandOf(pid)}`));
    return left;
  }

  /** Pids of runtimes and containers of this place, zombies left out: they are their parents'. */
  processes(): number[] {
    const own = readlinkSync("/proc/self/ns/mnt");
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && this.#isOurs(name, own))
      .map(Number);
  }

  #isOurs(pid: string, own: string): boolean {
    try {
      if (readlinkSync(`/proc/${pid}/cwd`).startsWith(this.path)) return true;
      return (
        readlinkSync(`/proc/${pid}/ns/mnt`) !== own && readFileSync(`/proc/${pid}/mountinfo`, "utf8").includes(this.tag)
      );
    } catch {
      return false;
    }
  }
}

/** Where the cgroups of containers without a path of their own are made: under this process's own. */
function cgroupParents(): string[] {
  const parents = new Set<string>();
  for (const line of readFileSync("/proc/self/cgroup", "utf8").trim().split("\n")) {
    const [, names, path] = line.split(":") as [string, string, string];
    for (const place of names === "" ? ["unified", "."] : [names.replace(/^name=/, "")]) {
      const directory = join("/sys/fs/cgroup", place, path);
      const above = join(directory, "..");
      if (existsSync(join(directory, "cgroup.procs"))) parents.add(directory).add(above);
    }
  }
  return [...parents];
}

function textIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

export function original(lab: RuntimeBench, ...args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(ORIGINAL, ["--root", lab.rootOf(OURS), ...args], {
    cwd: lab.path,
    encoding: "utf8",
    timeout: 30_000,
  });
}
