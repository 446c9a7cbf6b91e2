// Output that the shim owns: it writes the log and fans out over a socket beside it. Every attached client gets its own
// connection; dockerd drains it at once, whatever its client does (the sink queues and spills).

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { ATTACH_FRAME_LIMIT, attachFrame, FRAME_CLOSE_STDIN, FRAME_STDIN } from "../../../api/task/attach.ts";
import { connectUnix } from "../../../runtime/node/socket.ts";
import type { ContainerStreams, OutputSink, StdinWriter } from "../containers/container.ts";
import { Subscription } from "./subscription.ts";

const PIPES = ["stdout.fifo", "stderr.fifo"];

export class ShimStreams implements ContainerStreams {
  readonly #socketPath: string;
  readonly #hasStdin: boolean;
  readonly #subscriptions = new Set<Subscription>();
  readonly #bundle: string | null;
  #pipes: number[] = [];

  /** `bundle`: of the container's task; null when it is not known. */
  constructor(of: { socketPath: string; hasStdin: boolean; bundle: string | null }) {
    this.#socketPath = of.socketPath;
    this.#hasStdin = of.hasStdin;
    this.#bundle = of.bundle;
  }

  /** The task is there. Its pipes are kept open here, too: what a shim had not read when it was killed is lost with the
   *  last one who has them open, which may else be the container's process. */
  hold(): void {
    if (this.#bundle === null || this.#pipes.length > 0) return;
    for (const name of PIPES) {
      try {
        this.#pipes.push(openSync(join(this.#bundle, name), constants.O_RDONLY | constants.O_NONBLOCK));
      } catch {
        // A shim of another make, or a terminal, has none.
      }
    }
  }

  async subscribe(wanted: { stdout: boolean; stderr: boolean }, sink: OutputSink): Promise<Disposable> {
    const mask = (wanted.stdout ? 1 : 0) | (wanted.stderr ? 2 : 0);
    const subscription = new Subscription(this.#socketPath, mask, sink);
    await subscription.open();
    this.#subscriptions.add(subscription);
    void subscription.finished.then(() => this.#subscriptions.delete(subscription));
    return subscription;
  }

  async openStdin(): Promise<StdinWriter | null> {
    if (!this.#hasStdin) return null;
    const connection = await connectUnix(this.#socketPath);
    return {
      async write(bytes) {
        for (let at = 0; at < bytes.length; at += ATTACH_FRAME_LIMIT) {
          await connection.write(attachFrame(FRAME_STDIN, bytes.subarray(at, at + ATTACH_FRAME_LIMIT)));
        }
      },
      async close() {
        await connection.write(attachFrame(FRAME_CLOSE_STDIN, new Uint8Array(0))).catch(() => {});
        connection.closeWrite();
        const rest = new Uint8Array(64);
        // The shim closes when it has taken everything; only then is the connection given up.
        while ((await connection.read(rest).catch(() => 0)) > 0);
        connection.close();
      },
    };
  }

  async drained(limitMs: number): Promise<void> {
    // Its process has ended: a shim that is gone now will have no successor.
    for (const subscription of this.#subscriptions) subscription.lastChance();
    let timer: NodeJS.Timeout | null = null;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.all([...this.#subscriptions].map((one) => one.finished)), limit]);
    if (timer !== null) clearTimeout(timer);
  }

  close(): void {
    for (const pipe of this.#pipes.splice(0)) closeSync(pipe);
    // Subscriptions end by themselves when the shim closes their connections.
  }
}

export interface ShimStdio {
  stdin: string;
  stdout: string;
  stderr: string;
  attachPath: string;
}

/** The URIs of Tasks.Create for a container whose shim writes the log. */
export function shimStdio(wanted: {
  logPath: string;
  maxSize: number | null;
  maxFile: number;
  attachPath: string;
  stdin: boolean;
}): ShimStdio {
  const part = (text: string) => encodeURIComponent(text).replace(/%2F/g, "/");
  const path = part(wanted.logPath);
  const query = [`max-size=${wanted.maxSize ?? -1}`, `max-file=${wanted.maxFile}`, `attach=${part(wanted.attachPath)}`];
  const output = `json-file://${path}?${query.join("&")}`;
  return {
    stdin: wanted.stdin ? "attach://" : "",
    stdout: output,
    stderr: output,
    attachPath: wanted.attachPath,
  };
}
