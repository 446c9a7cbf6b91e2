// Output that the shim owns: it writes the log and fans out over a socket beside it. Every attached client gets its own
// connection, from which dockerd reads as fast as its client does: what a slow one has not read the shim keeps.

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import {
  ATTACH_FRAME_LIMIT,
  attachFrame,
  FRAME_CLOSE_STDIN,
  FRAME_COMPRESSED,
  FRAME_REPLACED,
  FRAME_STDIN,
} from "../../../api/task/attach.ts";
import { OUTPUT_FIFOS } from "../../../api/task/extensions.ts";
import { Failure } from "../../../base/errors.ts";
import { connectUnix } from "../../../runtime/node/socket.ts";
import type { ContainerStreams, OutputSink, StdinWriter } from "../containers/container.ts";
import type { ContainerLog } from "../containers/logging.ts";
import { FrameReader } from "./frames.ts";
import { Subscription } from "./subscription.ts";

export class ShimStreams implements ContainerStreams {
  readonly keepsForClients = true;
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
    for (const name of OUTPUT_FIFOS) {
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
    this.#subscriptions.add(subscription);
    void subscription.finished.then(() => this.#subscriptions.delete(subscription));
    await subscription.open();
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

  /** The process has ended: a shim that is gone now will have no successor. Clients read on for as long as they like,
   *  of a log that is whole before the shim tells the end. */
  async drained(): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.lastChance();
  }

  async replaceRotated(inode: number): Promise<boolean> {
    const connection = await connectUnix(this.#socketPath);
    try {
      const payload = new Uint8Array(8);
      new DataView(payload.buffer).setBigUint64(0, BigInt(inode));
      await connection.write(attachFrame(FRAME_COMPRESSED, payload));
      const reader = new FrameReader();
      for (const piece = new Uint8Array(64); ; ) {
        const count = await connection.read(piece);
        if (count === 0) throw new Failure("unavailable", "the shim closed the connection");
        const answer = reader.push(piece.slice(0, count)).find(({ type }) => type === FRAME_REPLACED);
        if (answer !== undefined) return answer.payload[0] === 1;
      }
    } finally {
      connection.close();
    }
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
export function shimStdio(log: ContainerLog, how: { attachPath: string; stdin: boolean }): ShimStdio {
  const part = (text: string) => encodeURIComponent(text).replace(/%2F/g, "/");
  const { driver, maxSize, maxFile } = log.settings;
  const query = [`max-size=${maxSize ?? -1}`, `max-file=${maxFile}`, `attach=${part(how.attachPath)}`];
  if (Object.keys(log.attrs).length > 0) query.push(`attrs=${part(JSON.stringify(log.attrs))}`);
  const output = `${driver}://${part(log.path)}?${query.join("&")}`;
  return { stdin: how.stdin ? "attach://" : "", stdout: output, stderr: output, attachPath: how.attachPath };
}
