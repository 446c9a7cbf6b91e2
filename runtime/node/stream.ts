// ByteStreams over Node's streams. Reading is by pull ("readable" events and read()), so an unread connection fills its
// high-water mark, then the kernel's buffer, and then holds the sender back.

import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { Failure } from "../../base/errors.ts";
import type { ByteStream, Connection } from "../../base/runtime.ts";

/** What reading from a Node stream needs to remember: a piece larger than the caller's memory, the end, an error. */
export class Puller {
  readonly #readable: Readable;
  #rest: Uint8Array | null = null;
  #ended = false;
  #error: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(readable: Readable) {
    this.#readable = readable;
    const wake = () => {
      const waiting = this.#wake;
      this.#wake = null;
      waiting?.();
    };
    readable.on("readable", wake);
    readable.on("end", () => {
      this.#ended = true;
      wake();
    });
    readable.on("close", () => {
      this.#ended = true;
      wake();
    });
    readable.on("error", (error) => {
      this.#error = error;
      wake();
    });
  }

  async read(into: Uint8Array): Promise<number> {
    for (;;) {
      const piece = this.#rest ?? (this.#readable.read() as Uint8Array | null);
      if (piece !== null && piece.length > 0) {
        const length = Math.min(into.length, piece.length);
        into.set(length === piece.length ? piece : piece.subarray(0, length));
        this.#rest = length === piece.length ? null : piece.subarray(length);
        return length;
      }
      if (this.#error !== null) throw streamFailure("read", this.#error);
      if (this.#ended || this.#readable.readableEnded) return 0;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends reading on this side: a waiting read gives 0. */
  stop(): void {
    this.#ended = true;
    this.#rest = null;
    this.#error = null;
    const waiting = this.#wake;
    this.#wake = null;
    waiting?.();
  }
}

export class SocketStream implements Connection {
  readonly peer = null;
  readonly #socket: Socket;
  readonly #puller: Puller;
  #closed = false;

  /** The socket must have been made with allowHalfOpen. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#puller = new Puller(socket);
  }

  read(into: Uint8Array): Promise<number> {
    return this.#closed ? Promise.resolve(0) : this.#puller.read(into);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(new Failure("unavailable", "write: the connection is closed"));
    return writeAll(this.#socket, bytes);
  }

  closeWrite(): void {
    if (!this.#closed && this.#socket.writable) this.#socket.end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    this.#puller.stop();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One of the standard streams or a child's pipe. The Node stream is asked for on first use: touching process.stdin
 *  already changes how the descriptor behaves. */
export class PipeStream implements ByteStream {
  readonly #ends: { readable?: () => Readable; writable?: () => Writable };
  #puller: Puller | null = null;
  #closed = false;

  constructor(ends: { readable?: () => Readable; writable?: () => Writable }) {
    this.#ends = ends;
  }

  read(into: Uint8Array): Promise<number> {
    if (this.#closed || this.#ends.readable === undefined) return Promise.resolve(0);
    this.#puller ??= new Puller(this.#ends.readable());
    return this.#puller.read(into);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.#ends.writable === undefined) {
      return Promise.reject(new Failure("unavailable", "write: the stream is closed"));
    }
    return writeAll(this.#ends.writable(), bytes);
  }

  closeWrite(): void {
    if (!this.#closed) this.#ends.writable?.().end();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#puller !== null) {
      this.#puller.stop();
      this.#ends.readable?.().destroy();
    }
    if (this.#ends.writable !== undefined) this.#ends.writable().end();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const quiet = new WeakSet<Writable>();

function writeAll(writable: Writable, bytes: Uint8Array): Promise<void> {
  // Errors reach the writer through the callback; without a listener Node would end the process as well.
  if (!quiet.has(writable)) {
    quiet.add(writable);
    writable.on("error", () => {});
  }
  return new Promise((resolve, reject) => {
    writable.write(bytes, (error) => (error ? reject(streamFailure("write", error)) : resolve()));
  });
}

export function streamFailure(call: string, error: Error): Failure {
  const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
  return new Failure("unavailable", `${call}: ${errno}`, { cause: error, facts: { errno } });
}
