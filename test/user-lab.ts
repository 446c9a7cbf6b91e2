// A user without root's rights, for tests of rootless containers: a shell of that user in a mount namespace of its own,
// where /etc/passwd and the lists of subordinate ids name it. The machine's own files stay as they are, and everything
// ends with the shell.

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, OURS } from "./bundle.ts";

/** Belongs to nobody on any machine that runs tests. */
export const UID = 54321;
export const GID = 54322;
/** The first of the subordinate ids of the user and of the group; RANGE of them each. */
export const SUB_UID = 3_000_000;
export const SUB_GID = 4_000_000;
export const RANGE = 65_536;
const TIMEOUT = 60_000;
const LISTS = ["passwd", "group", "subuid", "subgid"] as const;

export class UserLab implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "gantry-user-"));
  readonly tag = this.path.slice(-6);
  readonly bundle = join(this.path, "bundle");
  readonly rootfs = join(this.bundle, "rootfs");
  /** $XDG_RUNTIME_DIR of the user. */
  readonly run = join(this.path, "run");
  #count = 0;

  constructor() {
    chmodSync(this.path, 0o755);
    for (const directory of [join(this.rootfs, "bin"), this.run, join(this.path, "etc")]) {
      mkdirSync(directory, { recursive: true });
    }
    chmodSync(this.run, 0o700);
    for (const name of ["dev", "proc", "sys", "tmp", "etc", "mnt"]) mkdirSync(join(this.rootfs, name));
    copyFileSync("/bin/busybox", join(this.rootfs, "bin/busybox"));
    const applets = spawnSync("/bin/busybox", ["--list"], { encoding: "utf8" }).stdout.trim().split("\n");
    for (const applet of applets) {
      if (applet !== "busybox") symlinkSync("busybox", join(this.rootfs, "bin", applet));
    }
    const lines = [
      `gantry-test:x:${UID}:${GID}::${this.path}:/bin/sh\n`,
      `gantry-test:x:${GID}:\n`,
      `gantry-test:${SUB_UID}:${RANGE}\n`,
      `gantry-test:${SUB_GID}:${RANGE}\n`,
    ];
    LISTS.forEach((name, index) => {
      const file = join(this.path, "etc", name);
      if (existsSync(`/etc/${name}`)) copyFileSync(`/etc/${name}`, file);
      appendFileSync(file, lines[index]!);
      chmodSync(file, 0o644);
    });
    for (const place of [this.bundle, this.run]) spawnSync("chown", ["-hR", `${UID}:${GID}`, place]);
  }

  newId(): string {
    this.#count += 1;
    return `${this.tag}-${this.#count}`;
  }

  /** Runs shell text as the user; `before` is a command in front of that shell (unshare …). */
  sh(text: string, env: Record<string, string> = {}, before: readonly string[] = []): SpawnSyncReturns<string> {
    const binds = LISTS.map((name) => `mount --bind ${join(this.path, "etc", name)} /etc/${name}`);
    const become = `exec setpriv --reuid ${UID} --regid ${GID} --clear-groups --inh-caps=-all -- "$@"`;
    const inside = `for f in subuid subgid; do [ -e /etc/$f ] || : > /etc/$f; done; ${[...binds, become].join(" && ")}`;
    const line = ["-m", "sh", "-c", inside, "sh", ...before, "sh", "-c", text];
    const own = { PATH: process.env["PATH"] ?? "", XDG_RUNTIME_DIR: this.run, HOME: this.run, RUNC: OURS };
    return spawnSync("unshare", line, {
      ...{ cwd: this.bundle, encoding: "utf8", timeout: TIMEOUT, input: "" },
      env: { ...own, USER: "gantry-test", ...env },
    });
  }

  /** What `runc spec --rootless` gives, without a terminal, running `args`, then bent. */
  configure(args: readonly string[], bend: (config: Config) => void = () => {}): void {
    const file = join(this.bundle, "config.json");
    rmSync(file, { force: true });
    const made = this.sh("$RUNC spec --rootless");
    if (made.status !== 0) throw new Error(`spec: ${made.stderr}`);
    const config: Config = JSON.parse(readFileSync(file, "utf8"));
    config.process.terminal = false;
    config.process.args = args;
    config.root.readonly = false;
    bend(config);
    writeFileSync(file, JSON.stringify(config));
    chownSync(file, UID, GID);
  }

  /** Configures and runs in the foreground. */
  runContainer(args: readonly string[], bend?: (config: Config) => void): SpawnSyncReturns<string> {
    this.configure(args, bend);
    return this.sh(`$RUNC run ${this.newId()}`);
  }

  /** Runs a container of `sleep` in the background; its id. */
  start(bend?: (config: Config) => void): string {
    this.configure(["sleep", "100"], bend);
    const id = this.newId();
    const log = join(this.run, "log");
    rmSync(log, { force: true });
    const started = this.sh(`$RUNC --log ${log} run -d ${id} </dev/null >/dev/null 2>&1 || cat ${log}`);
    if (started.stdout !== "") throw new Error(started.stdout);
    return id;
  }

  /** Both ranges of ids, behind the user's own. */
  withRanges(config: Config): void {
    const maps = (own: number, first: number) => [
      { containerID: 0, hostID: own, size: 1 },
      { containerID: 1, hostID: first, size: RANGE - 1 },
    ];
    config.linux.uidMappings = maps(UID, SUB_UID);
    config.linux.gidMappings = maps(GID, SUB_GID);
  }

  leftovers(): string[] {
    const root = join(this.run, "runc");
    const state = existsSync(root) ? readdirSync(root).filter((name) => !name.startsWith(".seccomp-")) : [];
    const found = spawnSync("find", ["/sys/fs/cgroup", "-name", `${this.tag}-*`], { encoding: "utf8" });
    const processes = spawnSync("ps", ["-o", "stat,pid,args", "--no-headers", "-u", String(UID)], { encoding: "utf8" });
    // What has ended and was not asked for its exit code yet is not left over.
    const alive = processes.stdout.split("\n").filter((line) => !line.startsWith("Z"));
    return [...state, ...found.stdout.split("\n"), ...alive].filter((line) => line !== "");
  }

  [Symbol.dispose](): void {
    const root = join(this.run, "runc");
    for (const name of existsSync(root) ? readdirSync(root) : []) this.sh(`$RUNC delete --force ${name}`);
    rmSync(this.path, { recursive: true, force: true });
  }
}
