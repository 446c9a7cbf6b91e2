// Output that the shim owns: it writes the log and fans out over a socket beside it. Every attached client gets its own
// connection, from which dockerd reads as fast as its client does: what a slow one has not read the shim keeps.

import {
  ATTACH_FRAME_LIMIT,
  attachFrame,
  FRAME_CLOSE_STDIN,
  FRAME_COMPRESSED,
  FRAME_ERROR,
  FRAME_REPLACED,
  FRAME_STDERR,
  FRAME_STDIN,
  FRAME_STDOUT,
  FRAME_SUBSCRIBE,
  FRAME_SUBSCRIBED,
} from "../../../api/task/attach.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import type { Connection } from "../../../base/runtime.ts";
import { connectUnix } from "../../../runtime/node/socket.ts";
import type { ContainerStreams, OutputSink, StdinWriter } from "../containers/container.ts";
import type { ContainerLog } from "../containers/logging.ts";
import { FrameReader } from "./frames.ts";

/** Milliseconds the shim has for its answer to a subscription. */
const SUBSCRIBE_TIMEOUT_MS = 10_000;

export class ShimStreams implements ContainerStreams {
  readonly keepsForClients = true;
  readonly #socketPath: string;
  readonly #hasStdin: boolean;

  constructor(socketPath: string, hasStdin: boolean) {
    this.#socketPath = socketPath;
    this.#hasStdin = hasStdin;
  }

  async subscribe(wanted: { stdout: boolean; stderr: boolean }, sink: OutputSink): Promise<Disposable> {
    const connection = await connectUnix(this.#socketPath);
    const mask = (wanted.stdout ? 1 : 0) | (wanted.stderr ? 2 : 0);
    await connection.write(attachFrame(FRAME_SUBSCRIBE, Uint8Array.of(mask)));
    let subscribed = () => {};
    const ready = new Promise<void>((resolve, reject) => {
      subscribed = resolve;
      const timer = setTimeout(() => {
        connection.close();
        reject(new Failure("deadline_exceeded", "the shim did not answer a subscription"));
      }, SUBSCRIBE_TIMEOUT_MS);
      timer.unref();
      void Promise.resolve().then(() => ready.finally(() => clearTimeout(timer)).catch(() => {}));
    });
    const reading = readFrames(connection, { sink, subscribed });
    await Promise.race([ready, reading]);
    return { [Symbol.dispose]: () => connection.close() };
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

  /** The shim tells the end only once the log is whole. Clients read on for as long as they like. */
  async drained(): Promise<void> {}

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
    // Subscriptions end by themselves when the shim closes their connections.
  }
}

async function readFrames(connection: Connection, to: { sink: OutputSink; subscribed: () => void }): Promise<void> {
  const reader = new FrameReader();
  let error: string | null = null;
  try {
    for (;;) {
      const piece = new Uint8Array(64 * 1024);
      const count = await connection.read(piece);
      if (count === 0) break;
      for (const { type, payload } of reader.push(piece.subarray(0, count))) {
        if (type === FRAME_STDOUT || type === FRAME_STDERR) await to.sink.take(type, payload);
        else if (type === FRAME_SUBSCRIBED) to.subscribed();
        else if (type === FRAME_ERROR) error = decodeUtf8(payload);
      }
    }
  } catch (thrown) {
    error = (thrown as Error).message;
  }
  connection.close();
  to.sink.ended(error);
  to.subscribed();
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
