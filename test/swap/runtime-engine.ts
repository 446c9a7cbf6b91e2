// The real dockerd and containerd with two runtimes beside each other, the original's and ours: own network and mount
// namespaces, own data and sockets, one busybox image. Stories are shell text that runs once under each.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../tools/build/paths.ts";
import { busyboxArchive } from "../../tools/start/image.ts";

const START_TIMEOUT = 30_000;
const STORY_TIMEOUT = 120_000;
const POLL = 50;
const DOCKERD = "/usr/sbin/dockerd";
export const ORIGINALS = [DOCKERD, "/usr/bin/containerd", "/usr/bin/docker", "/usr/sbin/runc"];
/** First subordinate id of a daemon that maps its containers' ids. */
export const REMAPPED = 700_000;

export type Runtime = "runc" | "gantry";

export class RuntimeEngine implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), "gantry-swap-"));
  readonly tag = this.path.slice(-6);
  readonly #remap: boolean;
  readonly #shim: string | null;
  #containerd: ChildProcess | null = null;
  #dockerd: ChildProcess | null = null;
  #count = 0;

  /** `shim`: another one than the original's. */
  constructor({ remap, shim = null }: { remap: boolean; shim?: string | null }) {
    this.#remap = remap;
    this.#shim = shim;
  }

  async start(): Promise<void> {
    // The root of a daemon that maps ids must be able to come here.
    chmodSync(this.path, 0o711);
    mkdirSync(join(this.path, "bin"));
    if (this.#shim !== null) symlinkSync(this.#shim, join(this.path, "bin/containerd-shim-runc-v2"));
    const config = join(this.path, "containerd.toml");
    const disabled = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]';
    writeFileSync(config, `version = 2\nroot = "${this.path}/c-root"\nstate = "${this.path}/c-state"\n${disabled}\n`);
    mkdirSync(join(this.path, "shared/x"), { recursive: true });
    writeFileSync(join(this.path, "subids"), `dockremap:${REMAPPED}:65536\n`);
    const setUp = [
      "ip link set lo up && ip route add unreachable default",
      `mount --bind ${this.path}/shared ${this.path}/shared && mount --make-shared ${this.path}/shared`,
      ...(this.#remap ? this.#subordinateIds() : []),
      `exec containerd -c ${config} -a ${this.path}/containerd.sock`,
    ];
    this.#containerd = this.#spawn("unshare", ["-n", "-m", "--propagation", "private", "sh", "-c", setUp.join(" && ")]);
    await this.#until("containerd", () => this.inside("ctr", "-a", `${this.path}/containerd.sock`, "version") === 0);
    await this.startDaemon();
    const input = await busyboxArchive("busybox:latest");
    const load = spawnSync("/usr/bin/docker", ["-H", `unix://${this.path}/d.sock`, "load"], {
      input,
      encoding: "utf8",
    });
    if (load.status !== 0) throw new Error(`the original's docker load: ${load.stderr}`);
  }

  /** The lists exist only in the engine's mount namespace, and with them the user they name. */
  #subordinateIds(): string[] {
    const lists = ["/etc/subuid", "/etc/subgid"].map(
      (file) => `{ [ -e ${file} ] || : > ${file}; } && mount --bind ${this.path}/subids ${file}`,
    );
    const user = ["passwd", "group"].map((name) => {
      const entry = name === "passwd" ? "dockremap:x:54330:54330::/:/bin/false" : "dockremap:x:54330:";
      const own = `${this.path}/${name}`;
      return `cp /etc/${name} ${own} && echo ${entry} >> ${own} && mount --bind ${own} /etc/${name}`;
    });
    return [...lists, ...user];
  }

  async startDaemon(): Promise<void> {
    const { path, tag } = this;
    const places = ["--data-root", `${path}/data`, "--exec-root", `${path}/exec`, "-p", `${path}/pid`];
    const runtimes = ["--add-runtime", `gantry=${join(layout.bin, "runc")}`, "--default-runtime", "gantry"];
    const own = [
      "--containerd",
      `${path}/containerd.sock`,
      "-H",
      `unix://${path}/d.sock`,
      "--cgroup-parent",
      `/${this.#cgroup}`,
    ];
    const names = ["--containerd-namespace", tag, "--containerd-plugins-namespace", `${tag}-p`, "--live-restore"];
    const mapped = this.#remap ? ["--userns-remap", "dockremap"] : [];
    const line = [...places, ...runtimes, ...own, ...names, ...mapped];
    this.#dockerd = this.#spawn("nsenter", ["-t", String(this.#containerd!.pid), "-n", "-m", DOCKERD, ...line]);
    await this.#until(
      "dockerd",
      () => spawnSync("/usr/bin/docker", ["-H", `unix://${path}/d.sock`, "version"]).status === 0,
    );
  }

  async killDaemon(): Promise<void> {
    const daemon = this.#dockerd!;
    const ended = new Promise((resolve) => daemon.once("exit", resolve));
    daemon.kill("SIGKILL");
    await ended;
    rmSync(join(this.path, "pid"), { force: true });
  }

  get #cgroup(): string {
    return `gantry-swap-${this.tag}`;
  }

  /** Runs a command in the engine's namespaces. */
  inside(...line: readonly string[]): number | null {
    return spawnSync("nsenter", ["-t", String(this.#containerd!.pid), "-n", "-m", ...line], { timeout: 60_000 }).status;
  }

  /** Shell text with $D (docker), $R (the runtime's flag), $N (a name of its own) and $T (a directory);
   *  what it says. */
  tell(story: string, runtime: Runtime): string {
    this.#count += 1;
    const name = `story${this.#count}`;
    const place = join(this.path, name);
    mkdirSync(place);
    const { NODE_EXTRA_CA_CERTS: _, ...base } = process.env;
    const D = `/usr/bin/docker -H unix://${this.path}/d.sock`;
    const env = { ...base, D, R: `--runtime ${runtime} --name ${name}`, X: `--runtime ${runtime}`, N: name, T: place };
    const inside = [
      "-t",
      String(this.#containerd!.pid),
      "-m",
      "sh",
      "-c",
      `exec 2>&1\n${story}\n$D rm -f $N >/dev/null 2>&1`,
    ];
    const result = spawnSync("nsenter", [...inside], { encoding: "utf8", timeout: STORY_TIMEOUT, env });
    // The client says this or not, as it happens; and the original also names a descriptor and flags.
    const said = result.stdout
      .replaceAll(/^time=.*error waiting for container.*\n/gm, "")
      .replaceAll(/ \(via \/proc\/self\/fd\/\d+\), flags: 0x[0-9a-f]+/g, "");
    return said
      .replaceAll(place, "PLACE")
      .replaceAll(name, "NAME")
      .replaceAll(/\b[0-9a-f]{64}\b/g, "ID");
  }

  get log(): string {
    return readFileSync(join(this.path, "log"), "utf8").split("\n").slice(-30).join("\n");
  }

  #spawn(command: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.path, "log"), "a");
    const path = `${this.path}/bin:${process.env["PATH"]}`;
    const env = { ...process.env, PATH: path, CONTAINERD_SHIM_SOCKET_DIR: join(this.path, "s") };
    return spawn(command, args, { stdio: ["ignore", log, log], env });
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    for (let waited = 0; !condition(); waited += POLL) {
      if (waited > START_TIMEOUT) throw new Error(`${what} did not start in time:\n${this.log}`);
      await sleep(POLL);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const docker = `docker -H unix://${this.path}/d.sock`;
    spawnSync("sh", ["-c", `${docker} ps -aq | xargs -r ${docker} rm -f`], { timeout: 60_000 });
    for (const child of [this.#dockerd, this.#containerd]) {
      if (child === null || child.exitCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.kill("SIGTERM")) await Promise.race([ended, sleep(15_000)]);
    }
    rmSync(this.path, { recursive: true, force: true });
    for (const folder of globSync(`/sys/fs/cgroup/{,*/,*/*/*/}${this.#cgroup}`)) rmdirSync(folder);
  }
}
