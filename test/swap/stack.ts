// A private chain for tests: ctr, containerd, shim and runc, each the original's or ours, with its own root, state,
// sockets and namespace. What it leaves behind when it is disposed is reported by `leftovers`.

import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../tools/build/paths.ts";
import { busyboxArchive } from "../../tools/start/image.ts";
import { newest, skipNewest } from "./newest.ts";

/** "newest": containerd 2.x, where it can be had (newest.ts). */
export type Side = "original" | "ours" | "newest";
export type Hop = "ctr" | "containerd" | "containerd-shim-runc-v2" | "runc";
export type Chain = Readonly<Record<Hop, Side>>;

const ORIGINALS: Readonly<Record<Hop, string>> = {
  ctr: "/usr/bin/ctr",
  containerd: "/usr/bin/containerd",
  "containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2",
  runc: "/usr/sbin/runc",
};
/** Of 1.6 and of 2.x: the kubelet's part, which is slow to come up, and a place for programs outside of the root. */
const DISABLED = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.runtime",
  "io.containerd.cri.v1.images",
  "io.containerd.podsandbox.controller.v1.podsandbox",
  "io.containerd.internal.v1.opt",
];
const START_TIMEOUT = 20_000;
const POLL = 20;
const COMMAND_TIMEOUT = 60_000;
export const IMAGE = "docker.io/library/busybox:latest";

export function programOf(hop: Hop, side: Side): string {
  if (side === "newest") return newestOf(hop);
  return side === "original" ? ORIGINALS[hop] : join(layout.bin, hop);
}

function newestOf(hop: Hop): string {
  if (hop === "runc") return ORIGINALS.runc;
  return newest?.[hop === "containerd-shim-runc-v2" ? "shim" : hop] ?? `the newest ${hop}`;
}

/** False when all programs of the chain are there, else why its tests are left out. */
export function skipReason(chain: Chain): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (Object.values(chain).includes("newest") && skipNewest !== false) return skipNewest;
  const missing = (Object.keys(chain) as Hop[]).filter((hop) => !existsSync(programOf(hop, chain[hop])));
  return missing.length === 0 ? false : `not there: ${missing.map((hop) => programOf(hop, chain[hop])).join(", ")}`;
}

export function describeChain(chain: Chain): string {
  return (Object.keys(chain) as Hop[])
    .map((hop) => `${{ ours: "our", original: "the original", newest: "the newest" }[chain[hop]]} ${hop}`)
    .join(", ");
}

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

export class Stack implements AsyncDisposable {
  readonly chain: Chain;
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-stack-"));
  readonly namespace = `gantry-${this.folder.slice(-6)}`;
  #containerd: ChildProcess | null = null;

  constructor(chain: Chain) {
    this.chain = chain;
  }

  get address(): string {
    return join(this.folder, "c.sock");
  }

  get log(): string {
    return readFileSync(join(this.folder, "containerd.log"), "utf8");
  }

  async start(): Promise<void> {
    const bin = join(this.folder, "bin");
    mkdirSync(bin);
    for (const hop of ["containerd-shim-runc-v2", "runc"] as const) {
      symlinkSync(programOf(hop, this.chain[hop]), join(bin, hop));
    }
    writeFileSync(join(this.folder, "config.toml"), this.#config());
    await this.startContainerd();
    const archive = join(this.folder, "busybox.tar");
    writeFileSync(archive, await busyboxArchive(IMAGE));
    const imported = await this.ctr("images", "import", archive);
    if (imported.status !== 0) throw new Error(`ctr images import: ${imported.stderr}\n${this.log}`);
  }

  /** Starts containerd (again) on the same directories and waits until it answers. */
  async startContainerd(): Promise<void> {
    const log = openSync(join(this.folder, "containerd.log"), "a");
    const path = `${join(this.folder, "bin")}:${process.env["PATH"]}`;
    const env = { ...process.env, PATH: path, CONTAINERD_SHIM_SOCKET_DIR: join(this.folder, "s") };
    const args = ["--config", join(this.folder, "config.toml")];
    const program = programOf("containerd", this.chain.containerd);
    this.#containerd = spawn(program, args, { stdio: ["ignore", log, log], env });
    const late = Date.now() + START_TIMEOUT;
    while (!existsSync(this.address) || (await this.ctr("version")).status !== 0) {
      if (this.#containerd.exitCode !== null || Date.now() > late) {
        throw new Error(`containerd did not start; its log:\n${this.log}`);
      }
      await sleep(POLL);
    }
  }

  async stopContainerd(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const daemon = this.#containerd;
    this.#containerd = null;
    if (daemon === null || daemon.exitCode !== null) return;
    const ended = new Promise((resolve) => daemon.once("exit", resolve));
    daemon.kill(signal);
    await ended;
  }

  #config(): string {
    return [
      "version = 2",
      `root = "${join(this.folder, "root")}"`,
      `state = "${join(this.folder, "state")}"`,
      `disabled_plugins = ${JSON.stringify(DISABLED)}`,
      `[grpc]\naddress = "${this.address}"`,
      `[ttrpc]\naddress = "${this.address}.ttrpc"`,
      "",
    ].join("\n");
  }

  /** Runs ctr to its end with this input. */
  ctr(...args: readonly string[]): Promise<Result> {
    return this.ctrWith("", ...args);
  }

  ctrWith(input: string, ...args: readonly string[]): Promise<Result> {
    const whole = ["--address", this.address, "--namespace", this.namespace, ...args];
    return new Promise((resolve) => {
      const program = programOf("ctr", this.chain.ctr);
      const child = execFile(program, whole, { timeout: COMMAND_TIMEOUT }, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
        resolve({ status, stdout, stderr });
      });
      child.stdin?.on("error", () => {});
      child.stdin?.end(input);
    });
  }

  /** A ctr that goes on: `events`, an attached run. */
  ctrInBackground(...args: readonly string[]): { child: ChildProcess; output: () => string } {
    const program = programOf("ctr", this.chain.ctr);
    const whole = ["--address", this.address, "--namespace", this.namespace, ...args];
    const child = spawn(program, whole, { stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    child.stdout!.on("data", (part: Buffer) => (output += part));
    return { child, output: () => output };
  }

  /** Pids of this stack's shims. */
  shims(): number[] {
    return processes((line) => line.includes("containerd-shim") && line.includes(this.namespace));
  }

  /** Everything of this stack that is still on the machine; empty when all tasks were deleted properly. */
  leftovers(): string[] {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const state = join(this.folder, "state/io.containerd.runtime.v2.task", this.namespace);
    return [
      ...this.shims().map((pid) => `shim ${pid}`),
      ...mounts.filter((line) => line.includes(this.folder)).map((line) => `mount ${line}`),
      ...listed(state).map((name) => `bundle ${name}`),
      ...listed(join("/run/containerd/runc", this.namespace)).map((name) => `runtime state ${name}`),
      ...cgroups(this.namespace),
    ];
  }

  /** Ends everything, whatever state a failed test left it in. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const shim of this.shims()) {
      for (const child of processes((_line, status) => status.includes(`PPid:\t${shim}\n`))) kill(child);
      kill(shim);
    }
    await this.stopContainerd("SIGTERM");
    const mounted = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "");
    for (const path of mounted.reverse()) if (path.startsWith(this.folder)) spawnSync("umount", ["-l", path]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    rmSync(join("/run/containerd/runc", this.namespace), { recursive: true, force: true });
    for (const path of [...cgroups(this.namespace), ...namespaceCgroups(this.namespace)]) {
      // One that a killed process still leaves behind is no reason to fail the test.
      spawnSync("rmdir", [path.replace(/^cgroup /, "")]);
    }
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += POLL) {
    if (waited > START_TIMEOUT) throw new Error(`it did not happen in time: ${what}`);
    await sleep(POLL);
  }
}

function listed(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

/** The namespace's own directory in each hierarchy: no runtime removes it. */
function namespaceCgroups(namespace: string): string[] {
  const roots = ["/sys/fs/cgroup", ...listed("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.map((root) => join(root, namespace)).filter((path) => existsSync(path));
}

function cgroups(namespace: string): string[] {
  return namespaceCgroups(namespace)
    .flatMap((path) => readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()))
    .map((entry) => `cgroup ${join(entry.parentPath, entry.name)}`);
}

function processes(matches: (commandLine: string, status: string) => boolean): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return matches(line, readFileSync(`/proc/${name}/status`, "utf8"));
      } catch {
        return false;
      }
    })
    .map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
