// The part of a line that has come without its end: at most LOG_PART bytes for each stream, where a writer of lines
// keeps them until the rest comes. In plain memory here; in the journal (journal.ts) where a later shim must find them.

import { LOG_PART } from "../limits.ts";

export interface HeldLine {
  readonly count: number;
  /** The bytes held; valid until the next change. */
  bytes(): Uint8Array;
  /** There is room: the caller never holds more than LOG_PART. */
  append(bytes: Uint8Array): void;
  /** Forgets what is before `from`. */
  keepFrom(from: number): void;
  clear(): void;
}

export class MemoryLine implements HeldLine {
  #bytes: Uint8Array | null = null;
  count = 0;

  bytes(): Uint8Array {
    return this.#bytes!.subarray(0, this.count);
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#bytes ??= new Uint8Array(LOG_PART);
    this.#bytes.set(bytes, this.count);
    this.count += bytes.length;
  }

  keepFrom(from: number): void {
    this.#bytes!.copyWithin(0, from, this.count);
    this.count -= from;
  }

  clear(): void {
    this.count = 0;
  }
}
