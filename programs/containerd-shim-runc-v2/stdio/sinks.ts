// Where bytes go: a descriptor (a client's FIFO, a file, the stdin of a process), with what it did not take at once.

import { EPOLLOUT } from "../../../linux/epoll.ts";
import { type Fd, write } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import type { Sink } from "./pump.ts";

export class FdSink implements Sink {
  resume: () => void = () => {};
  readonly #loop: Loop;
  readonly #fd: Fd;
  /** At most what one write was given: a source stops until it is gone. */
  #left: Uint8Array | null = null;
  #ending = false;
  #closed = false;

  /** Owns the descriptor, which is non-blocking or a regular file. */
  constructor(loop: Loop, fd: Fd) {
    this.#loop = loop;
    this.#fd = fd;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed) return true;
    const left = this.#left === null ? this.#put(chunk) : chunk;
    if (left === null) return true;
    if (this.#left === null) this.#loop.watch(this.#fd.number, EPOLLOUT, () => this.#flush());
    const [before, more] = [this.#left ?? new Uint8Array(0), left];
    this.#left = new Uint8Array(before.length + more.length);
    this.#left.set(before);
    this.#left.set(more, before.length);
    return false;
  }

  /** Closes once everything is written. */
  end(): void {
    this.#ending = true;
    if (this.#left === null) this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#left !== null) this.#loop.unwatch(this.#fd.number);
    this.#left = null;
    this.#fd.close();
  }

  get closed(): boolean {
    return this.#closed;
  }

  #flush(): void {
    const left = this.#put(this.#left!);
    if (this.#closed) {
      this.resume();
      return;
    }
    if (left !== null) {
      this.#left = left;
      return;
    }
    this.#left = null;
    this.#loop.unwatch(this.#fd.number);
    if (this.#ending) this.close();
    this.resume();
  }

  /** What was not taken, or null. A reader that went away for good (EPIPE, EIO) closes the sink. */
  #put(bytes: Uint8Array): Uint8Array | null {
    try {
      const put = write(this.#fd.number, bytes) ?? 0;
      return put === bytes.length ? null : bytes.subarray(put);
    } catch {
      this.close();
      return null;
    }
  }
}
