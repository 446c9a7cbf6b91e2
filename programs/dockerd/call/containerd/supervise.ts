// A containerd of our own, for when none is named and none is at the usual place. It is detached, so that it and its
// containers live on when dockerd is killed; its pid file says whether the one from before still runs.

import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure, messageOf } from "../../../../base/errors.ts";
import type { Settings } from "../../config/settings.ts";
import type { Log } from "../../engine.ts";
import { findProgram, searchPath } from "../../system/programs.ts";

export const USUAL_SOCKET = "/run/containerd/containerd.sock";
/** Milliseconds containerd has to listen, and to end when told. */
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 10;

export class OwnContainerd {
  readonly socket: string;
  readonly #folder: string;
  readonly #root: string;
  readonly #log: Log;

  constructor(settings: Settings, log: Log) {
    this.#folder = join(settings.execRoot, "containerd");
    this.#root = join(settings.dataRoot, "containerd", "daemon");
    this.socket = join(this.#folder, "containerd.sock");
    this.#log = log;
  }

  get #pidFile(): string {
    return join(this.#folder, "containerd.pid");
  }

  /** The folder of its tasks' bundles. */
  bundles(namespace: string): string {
    return join(this.#folder, "daemon/io.containerd.runtime.v2.task", namespace);
  }

  /** Starts it unless it runs, and waits until its socket is there. */
  async ensure(): Promise<void> {
    if (this.#pid() !== null && existsSync(this.socket)) return;
    const program = findProgram("containerd");
    if (program === null) throw new Failure("failed_precondition", "the program containerd was not found");
    mkdirSync(this.#folder, { recursive: true, mode: 0o711 });
    mkdirSync(this.#root, { recursive: true, mode: 0o711 });
    if (this.#pid() === null) rmSync(this.socket, { force: true });
    const config = join(this.#folder, "containerd.toml");
    writeFileSync(config, this.#configuration(), { mode: 0o600 });
    const output = openSync(join(this.#folder, "containerd.log"), "a", 0o600);
    const env = { ...process.env, PATH: searchPath().join(":") };
    const child = spawn(program, ["--config", config], {
      detached: true,
      stdio: ["ignore", output, output],
      cwd: "/",
      env,
    });
    closeSync(output);
    child.unref();
    let failure: string | null = null;
    child.once("error", (cause) => {
      failure = messageOf(cause);
    });
    child.once("exit", (code, signal) => {
      failure = `it ended with ${signal ?? `status ${code}`}`;
    });
    if (child.pid !== undefined) writeFileSync(this.#pidFile, String(child.pid));
    this.#log.info(`started ${program}, pid ${child.pid}`);
    for (let waited = 0; !existsSync(this.socket); waited += POLL_MS) {
      if (failure !== null || waited > START_TIMEOUT_MS) {
        throw new Failure("unavailable", `containerd did not start: ${failure ?? "no socket"}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Ends it; for a shutdown that leaves nothing behind. */
  async stop(): Promise<void> {
    const pid = this.#pid();
    if (pid === null) return;
    process.kill(pid, "SIGTERM");
    for (let waited = 0; this.#pid() !== null && waited < STOP_TIMEOUT_MS; waited += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const left = this.#pid();
    if (left !== null) process.kill(left, "SIGKILL");
    rmSync(this.#pidFile, { force: true });
  }

  /** The pid of the pid file, when that process is a containerd and no zombie. */
  #pid(): number | null {
    try {
      const pid = Number(readFileSync(this.#pidFile, "utf8"));
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name = "", state = ""] = /^\d+ \((.*)\) (\S)/.exec(stat) ?? [];
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return state !== "Z" && `${name} ${command}`.includes("containerd") ? pid : null;
    } catch {
      return null;
    }
  }

  #configuration(): string {
    const state = join(this.#folder, "daemon");
    return [
      "version = 2",
      `root = ${JSON.stringify(this.#root)}`,
      `state = ${JSON.stringify(state)}`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      "[grpc]",
      `  address = ${JSON.stringify(this.socket)}`,
      "[ttrpc]",
      `  address = ${JSON.stringify(`${this.socket}.ttrpc`)}`,
      "",
    ].join("\n");
  }
}
