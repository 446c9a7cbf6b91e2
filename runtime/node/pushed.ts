// A connection to a unix socket that calls back with what it reads: no stream, event or promise stands between the
// kernel and the receiver. Each of those takes longer than a line's own way, at a pace where nothing of it is warm.

import { createConnection, type Socket } from "node:net";
import { Failure } from "../../base/errors.ts";
import { streamFailure } from "./stream.ts";

export interface Receiver {
  /** Bytes that are valid during the call. A promise: nothing more comes before it is fulfilled. Must not throw. */
  take(bytes: Uint8Array): Promise<unknown> | null;
  /** Nothing more comes: the peer is at its end, the connection broke, or it was closed here. Called once. */
  ended(error: Failure | null): void;
}

export class PushedConnection implements Disposable {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** The bytes are the connection's until they are sent. A failure is told as the connection's end. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Reads at most `size` bytes at once. Rejects with "unavailable" when nobody listens at the path; the receiver then
 *  hears nothing. */
export function connectPushed(path: string, receiver: Receiver, size: number): Promise<PushedConnection> {
  return new Promise((resolve, reject) => {
    let error: NodeJS.ErrnoException | null = null;
    let connected = false;
    const callback = (count: number, buffer: Uint8Array): boolean => {
      const room = receiver.take(buffer.subarray(0, count));
      if (room !== null) void room.then(() => socket.resume());
      return room === null;
    };
    // The end of the peer's writing ends the connection.
    const socket = createConnection({ path, onread: { buffer: Buffer.alloc(size), callback } });
    socket.once("connect", () => {
      connected = true;
      resolve(new PushedConnection(socket));
    });
    socket.once("error", (thrown) => {
      error = thrown;
    });
    socket.once("close", () => {
      const facts = { path, errno: error?.code ?? "EIO" };
      if (connected) receiver.ended(error === null ? null : streamFailure("read", error));
      else reject(new Failure("unavailable", `connect ${path}: ${facts.errno}`, { cause: error, facts }));
    });
  });
}
