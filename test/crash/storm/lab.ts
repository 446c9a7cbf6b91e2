// The engine under the storm: commands that run while daemons die, victims, and a look at everything that a container
// may leave behind.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../../tools/build/paths.ts";
import { Lab } from "../../lab.ts";
import { buildCrashRunc } from "../runc/build.ts";

/** Milliseconds for a command, for the daemons to answer again, and for what ends by itself to be gone. */
const COMMAND_TIMEOUT = 60_000;
const ANSWER_TIMEOUT = 30_000;
const SETTLE = 10_000;
const POLL = 20;
/** Milliseconds to watch for a runtime, and between two looks at which shims there are. */
const RUNTIME_TIMEOUT = 400;
const RUNTIME_LOOK = 50;
/** The daemon's name for the runtime that crashes on order. */
export const CRASHING = "crashing";

export interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class StormLab extends Lab {
  #mounts = "";

  async up(): Promise<void> {
    await this.makeCrashing();
    await this.startDaemon();
    await this.engine.haveBusybox();
    this.#mounts = this.mounts().join("\n");
  }

  async startDaemon(): Promise<void> {
    await this.engine.start(["--live-restore=true", "--add-runtime", `${CRASHING}=${this.crashing}`]);
  }

  get crashing(): string {
    return join(this.path, "crashing-runc");
  }

  /** A runtime that takes its order (test/crash/runc/main.ts) from a file, once. */
  async makeCrashing(): Promise<void> {
    const built = await buildCrashRunc();
    const order = join(this.path, "order");
    const take = [
      `if mv ${order} ${order}.$$ 2>/dev/null`,
      `then export GANTRY_CRASH=$(cat ${order}.$$); rm ${order}.$$; fi`,
    ];
    writeFileSync(this.crashing, ["#!/bin/sh", ...take, `exec ${built} "$@"`, ""].join("\n"));
    chmodSync(this.crashing, 0o755);
  }

  /** The next call of the crashing runtime gets this order. */
  order(text: string): void {
    writeFileSync(join(this.path, "order.new"), text);
    renameSync(join(this.path, "order.new"), join(this.path, "order"));
  }

  /** Our docker, to its end. */
  run(...args: readonly string[]): Promise<Result> {
    return new Promise((resolve) => {
      const options = { stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"], timeout: COMMAND_TIMEOUT };
      const child = spawn(join(layout.bin, "docker"), ["-H", this.engine.host, ...args], options);
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (part: Buffer) => (stdout += part.toString("latin1")));
      child.stderr.on("data", (part: Buffer) => (stderr += part.toString("latin1")));
      child.on("close", (status, signal) => resolve({ status, stdout, stderr: stderr || String(signal ?? "") }));
    });
  }

  /** Both daemons answer. */
  async answering(): Promise<void> {
    for (const late = Date.now() + ANSWER_TIMEOUT; ; await sleep(POLL)) {
      if (this.engine.pid === null) await this.startDaemon();
      // Images are containerd's.
      const { status, stderr } = await this.run("images", "-q");
      if (status === 0) return;
      if (Date.now() > late) throw new Error(`the daemons do not answer: ${stderr}`);
    }
  }

  /** Watches the shims for a while for the runtime at work (a clone of the shim, or a program of its own), which lives
   *  for milliseconds; null when none came. */
  async runtime(): Promise<number | null> {
    for (const late = Date.now() + RUNTIME_TIMEOUT; Date.now() < late; await sleep(5)) {
      const shims = this.pids("containerd-shim-runc-v2");
      for (const until = Date.now() + RUNTIME_LOOK; Date.now() < until; await new Promise(setImmediate)) {
        const children = shims.flatMap((pid) => textOf(`/proc/${pid}/task/${pid}/children`).trim().split(" "));
        const found = children.map(Number).find((pid) => this.isRuntime(pid));
        if (found !== undefined) return found;
      }
    }
    return null;
  }

  /** Not the process that becomes the container's: that is in a pid namespace of its own. */
  isRuntime(pid: number): boolean {
    const status = textOf(`/proc/${pid}/status`);
    return /^Name:\t(containerd-shim|runc|crashing)/.test(status) && /^NSpid:\t\d+$/m.test(status);
  }

  /** Whether the last order was taken. */
  ordered(): boolean {
    return !existsSync(join(this.path, "order"));
  }

  /** What is there of containers once all are removed; empty when nothing is. */
  async leftovers(ids: readonly string[], marks: readonly string[]): Promise<string[]> {
    let left = this.#look(ids, marks);
    for (const late = Date.now() + SETTLE; left.length > 0 && Date.now() < late; await sleep(POLL)) {
      left = this.#look(ids, marks);
    }
    return left;
  }

  #look(ids: readonly string[], marks: readonly string[]): string[] {
    const { run, data } = this.engine.places;
    const owned = new Set(
      ["dockerd", "containerd", "docker-net", "containerd-unpack"].flatMap((one) => this.pids(one)),
    );
    const known = this.#mounts.split("\n");
    const daemon = join(run, "containerd/daemon");
    const folders = [
      join(daemon, "io.containerd.runtime.v2.task/moby"),
      join(data, "containerd/daemon/io.containerd.runtime.v2.task/moby"),
      join(run, "attach"),
      join(data, "containers"),
      ...listed(run)
        .filter((name) => name.startsWith("runtime-"))
        .map((name) => join(run, name, "moby")),
    ];
    return [
      ...this.pids("containerd-shim-runc-v2").map((pid) => `shim ${pid}`),
      ...processes((line) => marks.some((mark) => line.includes(mark))).map((pid) => `process ${pid}`),
      ...zombies(owned),
      ...this.mounts()
        .filter((line) => !known.includes(line))
        .map((line) => `mount ${line}`),
      ...folders.flatMap((folder) =>
        listed(folder)
          .filter((name) => !name.startsWith(".seccomp-"))
          .map((name) => `${folder}/${name}`),
      ),
      ...listed(join(run, "containerd")).filter((name) => /^[0-9a-f]{64}$/.test(name)),
      ...cgroups(ids),
    ];
  }

  /** Lines of mountinfo of this lab, by their target. */
  mounts(): string[] {
    return readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((target) => target.startsWith(this.path));
  }

  /** Open descriptors of each daemon. */
  descriptors(): Record<string, number> {
    const count = (program: string) => this.pids(program).flatMap((pid) => listed(`/proc/${pid}/fd`)).length;
    return { dockerd: count("dockerd"), containerd: count("containerd") };
  }
}

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function processes(wanted: (line: string) => boolean): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => wanted(textOf(`/proc/${name}/cmdline`)))
    .map(Number);
}

function zombies(parents: ReadonlySet<number>): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && /\) Z /.test(textOf(`/proc/${name}/stat`)))
    .filter((name) => parents.has(parentOf(Number(name))))
    .map((name) => `zombie ${name}`);
}

function parentOf(pid: number): number {
  const stat = textOf(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

function cgroups(ids: readonly string[]): string[] {
  const found: string[] = [];
  const root = "/sys/fs/cgroup";
  for (const hierarchy of [root, ...listed(root).map((name) => join(root, name))]) {
    for (const id of ids) {
      const path = join(hierarchy, "docker", id);
      if (existsSync(path)) found.push(`cgroup ${path}`);
    }
  }
  return found;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
