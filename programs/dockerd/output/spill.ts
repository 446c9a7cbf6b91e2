// A queue of bytes between a container, which must never be held up, and a client, which may be as slow as it likes:
// first in memory, then in a file that has no name any more. Exact up to its limit; beyond it the client is cut off.

import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../../base/bytes.ts";

/** Bytes held in memory for one client. */
const MAX_MEMORY_BYTES = 1024 * 1024;
/** Bytes on disk for one client; one that lags further behind is cut off with a sentence. */
const MAX_SPILL_BYTES = 1024 * 1024 * 1024;
/** Bytes handed out at once. */
const MAX_PIECE_BYTES = 64 * 1024;

let sequence = 0;

export class SpillQueue implements Disposable {
  readonly #directory: string;
  #pieces: Uint8Array[] = [];
  #memory = 0;
  #fd = -1;
  #written = 0;
  #taken = 0;
  #ended = false;
  #disposed = false;
  #wake: (() => void) | null = null;

  /** The directory for the file, should one be needed. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes over the bytes. False when the client has fallen too far behind, and when the queue was closed. */
  push(bytes: Uint8Array): boolean {
    if (this.#disposed || this.#ended) return false;
    const spilling = this.#written > this.#taken;
    if (!spilling && this.#memory + bytes.length <= MAX_MEMORY_BYTES) {
      this.#pieces.push(bytes);
      this.#memory += bytes.length;
    } else if (!this.#spill(bytes)) return false;
    this.#notify();
    return true;
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** The next bytes; null at the end, or once disposed. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#disposed) return null;
      if (this.#pieces.length > 0) return this.#join();
      if (this.#written > this.#taken) return this.#unspill();
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#pieces = [];
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Small pieces together, so that one write carries them. */
  #join(): Uint8Array {
    const first = this.#pieces[0]!;
    let count = 1;
    let length = first.length;
    while (count < this.#pieces.length && length + this.#pieces[count]!.length <= MAX_PIECE_BYTES) {
      length += this.#pieces[count++]!.length;
    }
    const taken = this.#pieces.splice(0, count);
    this.#memory -= length;
    if (count === 1) return first;
    const joined: Bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of taken) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }

  #spill(bytes: Uint8Array): boolean {
    if (this.#written - this.#taken + bytes.length > MAX_SPILL_BYTES) return false;
    if (this.#fd < 0) {
      const path = join(this.#directory, `spill-${process.pid}-${++sequence}`);
      this.#fd = openSync(path, "wx+", 0o600);
      unlinkSync(path);
    }
    let at = 0;
    while (at < bytes.length) at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#written + at);
    this.#written += bytes.length;
    return true;
  }

  #unspill(): Uint8Array {
    const piece = new Uint8Array(Math.min(MAX_PIECE_BYTES, this.#written - this.#taken));
    const count = readSync(this.#fd, piece, 0, piece.length, this.#taken);
    this.#taken += count;
    if (this.#taken === this.#written) {
      ftruncateSync(this.#fd, 0);
      this.#taken = this.#written = 0;
    }
    return piece.subarray(0, count);
  }
}
