// A private engine for one test: own data, sockets, network namespace and bridge, and nothing of it left afterwards.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Engine } from "../tools/start/engine.ts";

const POLL = 20;

export class Lab implements AsyncDisposable {
  readonly path: string;
  readonly netns: string;
  readonly engine: Engine;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "gantry-lab-"));
    this.netns = this.path.split("/").at(-1)!;
    must("ip", "netns", "add", this.netns);
    must("ip", "-n", this.netns, "link", "set", "lo", "up");
    this.engine = new Engine({
      data: join(this.path, "data"),
      run: join(this.path, "run"),
      bridge: "gantrylab0",
      subnet: "172.27.0.1/16",
      // Only the network is another: `ip netns exec` would also give a mount namespace, which dies with its process.
      launcher: ["nsenter", `--net=/run/netns/${this.netns}`, "--"],
    });
  }

  /** Our docker's output; throws with its stderr when it fails. */
  docker(...args: readonly string[]): string {
    const result = this.engine.docker(...args);
    if (result.status !== 0) throw new Error(`docker ${args.join(" ")}: ${result.stderr}`);
    return result.stdout;
  }

  /** Runs a command in the engine's network namespace. */
  inside(...args: readonly string[]): { status: number | null; stdout: string } {
    const line = [`--net=/run/netns/${this.netns}`, "--", ...args];
    return spawnSync("nsenter", line, { encoding: "utf8", timeout: 60_000 });
  }

  /** Pids of this engine's processes whose command line begins with the program's name. */
  pids(program: string): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && this.#owns(name, program))
      .map(Number);
  }

  #owns(pid: string, program: string): boolean {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const first = line.split("\0")[0]!.split(" ")[0]!;
      return (first === program || first.endsWith(`/${program}`)) && line.includes(this.path);
    } catch {
      return false;
    }
  }

  /** The end of the daemons' logs, for the message of a failed test. */
  log(): string {
    return ["dockerd.log", "containerd/containerd.log"]
      .map((name) => join(this.engine.places.run, name))
      .filter(existsSync)
      .map((path) => `${path}:\n${readFileSync(path, "utf8").split("\n").slice(-30).join("\n")}`)
      .join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.engine.docker("ps", "-aq").stdout.trim().split("\n").filter(Boolean);
    if (left.length > 0) this.engine.docker("rm", "-f", ...left);
    await this.engine.stop();
    for (const program of ["dockerd", "containerd", "docker-net", "containerd-shim-runc-v2"]) {
      for (const pid of this.pids(program)) process.kill(pid, "SIGKILL");
    }
    spawnSync("ip", ["netns", "del", this.netns]);
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").reverse();
    for (const line of mounts) {
      const target = line.split(" ")[4];
      if (target?.startsWith(this.path)) spawnSync("umount", ["-l", target]);
    }
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Waits until the condition holds; throws after `timeout` milliseconds. */
export async function until(what: string, condition: () => boolean, timeout = 20_000): Promise<void> {
  for (let waited = 0; !condition(); waited += POLL) {
    if (waited > timeout) throw new Error(`${what}: not within ${timeout} ms`);
    await sleep(POLL);
  }
}

export function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

function must(command: string, ...args: readonly string[]): void {
  const result = spawnSync(command, args, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${result.stderr}`);
}
