// A private engine: its own data, socket and bridge, beside any Docker that is installed and never touching it.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../build/paths.ts";
import { busyboxArchive } from "./image.ts";

export interface EnginePlaces {
  /** Images, volumes, records: kept. */
  data: string;
  /** Sockets and running state: gone after a reboot. */
  run: string;
  /** Bridge name, at most 15 bytes. */
  bridge: string;
  subnet: string;
  /** A command that starts dockerd somewhere else, as ["nsenter", "--net=..."]; absent: right here. */
  launcher?: readonly string[];
}

/** How long dockerd may take to answer, in milliseconds, and how often it is asked. */
const START_TIMEOUT = 30_000;
const START_POLL = 20;

export class Engine {
  readonly places: EnginePlaces;

  constructor(places: EnginePlaces) {
    this.places = places;
  }

  get host(): string {
    return `unix://${join(this.places.run, "docker.sock")}`;
  }

  get pidFile(): string {
    return join(this.places.run, "dockerd.pid");
  }

  /** The pid of a running dockerd of this engine; null when there is none. */
  get pid(): number | null {
    try {
      const pid = Number(readFileSync(this.pidFile, "utf8"));
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("dockerd") ? pid : null;
    } catch {
      return null;
    }
  }

  /** Starts dockerd in the background unless it runs, and waits until it answers. */
  async start(extra: readonly string[] = ["--live-restore=false"]): Promise<void> {
    if (this.pid !== null && this.answers()) return;
    mkdirSync(this.places.run, { recursive: true, mode: 0o700 });
    mkdirSync(this.places.data, { recursive: true, mode: 0o710 });
    const log = join(this.places.run, "dockerd.log");
    const output = openSync(log, "a", 0o600);
    const { data, run, bridge, subnet } = this.places;
    const args = ["--data-root", data, "--exec-root", run, "-H", this.host, "-p", this.pidFile];
    const network = ["--bridge", bridge, "--bip", subnet];
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
    const path = `${layout.bin}:${env["PATH"] ?? ""}`;
    const line = [...(this.places.launcher ?? []), join(layout.bin, "dockerd"), ...args, ...network, ...extra];
    const child = spawn(line[0]!, line.slice(1), {
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...env, PATH: path },
    });
    closeSync(output);
    child.unref();
    for (let waited = 0; !this.answers(); waited += START_POLL) {
      if (child.exitCode !== null || waited > START_TIMEOUT) {
        throw new Error(`dockerd did not start; its log ends:\n${tail(log)}`);
      }
      await sleep(START_POLL);
    }
  }

  answers(): boolean {
    const socket = join(this.places.run, "docker.sock");
    return existsSync(socket) && spawnSync(join(layout.bin, "docker"), ["-H", this.host, "version"]).status === 0;
  }

  /** Ends dockerd and what belongs to it. False when none ran. */
  async stop(): Promise<boolean> {
    const pid = this.pid;
    if (pid === null) return false;
    process.kill(pid, "SIGTERM");
    for (let waited = 0; this.pid !== null && waited < START_TIMEOUT; waited += START_POLL) await sleep(START_POLL);
    return true;
  }

  /** Runs our docker on this engine, its output captured. */
  docker(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(join(layout.bin, "docker"), ["-H", this.host, ...args], { encoding: "utf8" });
  }

  /** Puts the busybox image in place if it is not there. */
  async haveBusybox(): Promise<void> {
    if (this.docker("image", "inspect", "busybox").status === 0) return;
    const input = await busyboxArchive("busybox:latest");
    const load = spawnSync(join(layout.bin, "docker"), ["-H", this.host, "load", "-q"], { input, encoding: "utf8" });
    if (load.status !== 0) throw new Error(`docker load: ${load.stderr}`);
  }
}

function tail(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(-20).join("\n") : "(no log)";
}
