// The write end of a process's stdin, shared by whoever may write to it: attach clients, or one FIFO.

import type { Fd } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { FdSink } from "./sinks.ts";

export class StdinWriter {
  readonly #sink: FdSink;
  readonly #keepOpen: boolean;
  #closing = false;
  #full = false;
  #waiting: (() => void)[] = [];

  /** Owns the non-blocking descriptor. `keepOpen`: a terminal, which is not closed by the end of its input. */
  constructor(loop: Loop, fd: Fd, keepOpen: boolean) {
    this.#sink = new FdSink(loop, fd);
    this.#keepOpen = keepOpen;
    this.#sink.resume = () => {
      this.#full = false;
      for (const wake of this.#waiting.splice(0)) wake();
    };
  }

  /** False: full, though taken; wait for `whenEmpty`. After the end what is written is dropped. */
  write(bytes: Uint8Array): boolean {
    if (this.#closing || this.#sink.write(bytes)) return true;
    this.#full = true;
    return false;
  }

  whenEmpty(wake: () => void): void {
    if (this.#full) this.#waiting.push(wake);
    else wake();
  }

  /** The process sees the end of its input once it has read what was written before. */
  close(): void {
    if (this.#keepOpen || this.#closing) return;
    this.#closing = true;
    this.#sink.end();
  }

  /** The process is gone. */
  destroy(): void {
    this.#closing = true;
    this.#sink.close();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
