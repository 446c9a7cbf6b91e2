// A queue of bytes between a container and a client, which may be as slow as it likes: first in memory, then (where
// nobody else keeps them) in a file that has no name any more, exact up to its limit. Beyond that whoever pushes has to
// wait; a client that takes nothing for a while then is given up.
//
//     push ─▶ pieces in memory ─▶ file ─▶ late: what came when both were full (its pusher waits)
//       └──────────┴─▶ drain: a client that has taken all before gets what comes at once

import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../../base/bytes.ts";

/** Bytes held in memory for one client. */
const MAX_MEMORY_BYTES = 1024 * 1024;
/** Bytes on disk for one client. */
const MAX_SPILL_BYTES = 1024 * 1024 * 1024;
/** Bytes handed out at once. */
const MAX_PIECE_BYTES = 64 * 1024;
/** Milliseconds without any progress after which a client is given up, while a container waits for it. */
const STALL_MS = 2000;

let sequence = 0;

export class SpillQueue implements Disposable {
  /** The directory for the file, should one be needed. Null: who pushes waits instead, for as long as it takes. */
  directory: string | null;
  /** Why it ended, once it did. */
  error: string | null = null;
  readonly #stalled: () => void;
  #pieces: Uint8Array[] = [];
  #memory = 0;
  #fd = -1;
  #written = 0;
  #taken = 0;
  #late: Uint8Array[] = [];
  #ended = false;
  #disposed = false;
  /** Set while `drain` has nothing to give. */
  #wake: (() => void) | null = null;
  #write: (piece: Uint8Array) => Promise<void> = () => Promise.resolve();
  #direct: Promise<void> | null = null;
  #full: { room: Promise<void>; made: () => void; limit: NodeJS.Timeout | null } | null = null;

  /** `stalled` is called when a container waited long enough. */
  constructor(directory: string | null, stalled: () => void) {
    this.directory = directory;
    this.#stalled = stalled;
  }

  /** Takes over the bytes. A promise: what is at hand may still come, and no more before it is fulfilled. */
  push(bytes: Uint8Array): Promise<void> | null {
    if (this.#disposed || this.#ended) return null;
    if (this.#wake !== null) {
      this.#direct = this.#write(bytes);
      this.#notify();
      return null;
    }
    const inMemory = this.#written === this.#taken && this.#late.length === 0;
    if (inMemory && (this.directory === null || this.#memory + bytes.length <= MAX_MEMORY_BYTES)) {
      this.#pieces.push(bytes);
      this.#memory += bytes.length;
    } else if (this.#late.length > 0 || !this.#spill(bytes)) this.#late.push(bytes);
    this.#notify();
    return this.#late.length > 0 || this.#memory > MAX_MEMORY_BYTES ? this.#wait() : null;
  }

  /** Nothing comes any more; `error` says why, if it is not for good. The first one counts. */
  end(error: string | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.error = error;
    this.#unwait();
    this.#notify();
  }

  /** Gives all to `write`, in order and one piece at a time. Resolves at the end, or once disposed; rejects with what
   *  `write` rejects with. Called once. */
  async drain(write: (piece: Uint8Array) => Promise<void>): Promise<void> {
    this.#write = write;
    for (;;) {
      const piece = this.#next();
      if (piece !== null) await write(piece);
      else if (this.#ended || this.#disposed) return;
      else await this.#more();
    }
  }

  #next(): Uint8Array | null {
    if (this.#disposed) return null;
    if (this.#pieces.length === 0 && this.#written === this.#taken) this.#takeLate();
    if (this.#pieces.length > 0) return this.#progress(this.#join());
    return this.#written > this.#taken ? this.#progress(this.#unspill()) : null;
  }

  /** Until there is something to do, and what was written meanwhile is written. */
  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const direct = this.#direct;
    this.#direct = null;
    await direct;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#pieces = [];
    this.#late = [];
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#unwait();
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #wait(): Promise<void> {
    if (this.#full === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#full = { room: promise, made: resolve, limit: null };
      this.#limit(this.#full);
    }
    return this.#full.room;
  }

  #limit(full: { limit: NodeJS.Timeout | null }): void {
    if (full.limit !== null) clearTimeout(full.limit);
    full.limit = this.directory === null ? null : setTimeout(() => this.#stalled(), STALL_MS);
  }

  #unwait(): void {
    const full = this.#full;
    this.#full = null;
    if (full === null) return;
    if (full.limit !== null) clearTimeout(full.limit);
    full.made();
  }

  #progress(piece: Uint8Array): Uint8Array {
    if (this.#full === null) return piece;
    if (this.#late.length === 0 && this.#memory <= MAX_MEMORY_BYTES / 2) this.#unwait();
    else this.#limit(this.#full);
    return piece;
  }

  #takeLate(): void {
    for (const piece of this.#late) this.#memory += piece.length;
    this.#pieces.push(...this.#late);
    this.#late = [];
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
    if (this.directory === null || this.#written - this.#taken + bytes.length > MAX_SPILL_BYTES) return false;
    try {
      if (this.#fd < 0) {
        const path = join(this.directory, `spill-${process.pid}-${++sequence}`);
        this.#fd = openSync(path, "wx+", 0o600);
        unlinkSync(path);
      }
      let at = 0;
      while (at < bytes.length) at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#written + at);
    } catch {
      // A full disk is as a full file.
      return false;
    }
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
