// A place for tests of an OCI runtime: a busybox root, a config.json to bend, ours and the original beside each other,
// and a look at what is left afterwards.

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layout } from "../tools/build/paths.ts";

export const OURS = join(layout.bin, "runc");
export const ORIGINAL = "/usr/sbin/runc";
const TIMEOUT = 30_000;

// biome-ignore lint/suspicious/noExplicitAny: tests bend configurations in ways no type allows
export type Config = any;

export class RuntimeBench implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "gantry-runc-"));
  readonly rootfs = join(this.path, "rootfs");
  /** Every container of this place has it in its id, and so in its cgroups' names. */
  readonly tag = this.path.slice(-6);
  #count = 0;

  constructor() {
    // The root of a user namespace must be able to come here.
    chmodSync(this.path, 0o711);
    const bin = join(this.rootfs, "bin");
    mkdirSync(bin, { recursive: true });
    for (const name of ["dev", "proc", "sys", "tmp", "etc"]) mkdirSync(join(this.rootfs, name));
    copyFileSync("/bin/busybox", join(bin, "busybox"));
    const applets = spawnSync("/bin/busybox", ["--list"], { encoding: "utf8" }).stdout.trim().split("\n");
    for (const applet of applets) if (applet !== "busybox") symlinkSync("busybox", join(bin, applet));
  }

  /** Writes config.json: what `runc spec` gives, without a terminal, running `args`, then bent by `bend`. */
  configure(args: readonly string[], bend: (config: Config) => void = () => {}): void {
    rmSync(join(this.path, "config.json"), { force: true });
    spawnSync(OURS, ["spec"], { cwd: this.path });
    const config: Config = JSON.parse(readFileSync(join(this.path, "config.json"), "utf8"));
    config.process.terminal = false;
    config.process.args = args;
    config.root.readonly = false;
    bend(config);
    writeFileSync(join(this.path, "config.json"), JSON.stringify(config));
  }

  newId(): string {
    this.#count += 1;
    return `${this.tag}-${this.#count}`;
  }

  runc(args: readonly string[], runtime = OURS, input = ""): SpawnSyncReturns<string> {
    const line = ["--root", this.rootOf(runtime), "--log", this.logOf(runtime), "--log-format", "json", ...args];
    // Detached containers inherit the outputs, and a pipe would be waited for as long as they live.
    const files = args[0] === "create" || args.includes("--detach");
    const stdio = files ? (["ignore", "ignore", "ignore"] as const) : (["pipe", "pipe", "pipe"] as const);
    return spawnSync(runtime, line, {
      cwd: this.path,
      encoding: "utf8",
      timeout: TIMEOUT,
      killSignal: "SIGKILL",
      input,
      stdio: [...stdio],
    });
  }

  /** With exactly these arguments. */
  runcBare(args: readonly string[], runtime = OURS): SpawnSyncReturns<string> {
    return spawnSync(runtime, args, { cwd: this.path, encoding: "utf8", timeout: TIMEOUT });
  }

  /** Configures and runs in the foreground. */
  run(args: readonly string[], bend?: (config: Config) => void, runtime = OURS): SpawnSyncReturns<string> {
    this.configure(args, bend);
    return this.runc(["run", this.newId()], runtime);
  }

  /** Configures, creates and starts; the id. */
  start(args: readonly string[], bend?: (config: Config) => void): string {
    this.configure(args, bend);
    const id = this.newId();
    const started = this.runc(["run", "--detach", id]);
    if (started.status !== 0) throw new Error(`run: ${this.lastError()}`);
    return id;
  }

  rootOf(runtime: string): string {
    return join(this.path, runtime === OURS ? "state" : "original");
  }

  logOf(runtime: string): string {
    return join(this.path, runtime === OURS ? "log.json" : "original.json");
  }

  /** The message of the last error in the log, which is what upper layers show. */
  lastError(runtime = OURS): string {
    const lines = readFileSync(this.logOf(runtime), "utf8").trim().split("\n").reverse();
    for (const line of lines.filter((text) => text !== "")) {
      const entry = JSON.parse(line) as { level: string; msg: string };
      if (entry.level === "error") return entry.msg;
    }
    return "";
  }

  status(id: string): string {
    const state = this.runc(["state", id]);
    return state.status === 0 ? JSON.parse(state.stdout).status : "gone";
  }

  /** Processes, mounts, cgroups and state of this place's containers. */
  leftovers(): string[] {
    const left: string[] = [];
    for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
      if (line.includes(this.path)) left.push(`mount ${line}`);
    }
    const cgroups = spawnSync("find", ["/sys/fs/cgroup", "-name", `${this.tag}-*`], { encoding: "utf8" });
    left.push(...cgroups.stdout.split("\n").filter(Boolean));
    const state = this.rootOf(OURS);
    if (existsSync(state)) left.push(...readdirSync(state).filter((name) => !name.startsWith(".seccomp-")));
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      if (rootOfProcess(pid).startsWith(this.path)) left.push(`process ${pid}`);
    }
    return left;
  }

  [Symbol.dispose](): void {
    const state = this.rootOf(OURS);
    for (const name of existsSync(state) ? readdirSync(state) : []) this.runc(["delete", "--force", name]);
    rmSync(this.path, { recursive: true, force: true });
  }
}

function rootOfProcess(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/root`);
  } catch {
    return "";
  }
}
