// The receiving side of a connection: a ByteStream with a buffer in front, from which heads, lines and body pieces are
// taken. At most one read of the stream is under way; whoever needs bytes meanwhile waits for that one, so a watcher
// for the peer's end and a reader can share a connection.

import type { Bytes } from "../../base/bytes.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { malformed } from "./head.ts";
import { MAX_BUFFER_BYTES, MAX_HEAD_BYTES, MIN_BUFFER_BYTES } from "./limits.ts";

const CR = 13;
const LF = 10;

export class Source {
  readonly #stream: ByteStream;
  #buffer: Bytes;
  #start = 0;
  #end = 0;
  #ended = false;
  #filling: Promise<boolean> | null = null;

  /** `already` are bytes that were read from the stream before. */
  constructor(stream: ByteStream, already: Uint8Array = new Uint8Array(0)) {
    this.#stream = stream;
    this.#buffer = new Uint8Array(Math.max(MIN_BUFFER_BYTES, already.length));
    this.#buffer.set(already);
    this.#end = already.length;
  }

  /** Bytes that are here without waiting. */
  get buffered(): number {
    return this.#end - this.#start;
  }

  /** The next head up to and with its empty line; null when the peer ended before its first byte. */
  async readHead(): Promise<Bytes | null> {
    let scanned = 0;
    for (;;) {
      const length = this.#findHeadEnd(scanned);
      if (length > 0) return this.#take(length);
      scanned = this.buffered;
      if (scanned > MAX_HEAD_BYTES) throw malformed("request header too large", 431);
      if (!(await this.fill())) {
        if (this.buffered === 0) return null;
        throw malformed("unexpected end inside a message head");
      }
    }
  }

  /** The next line without its CRLF. */
  async readLine(limit: number): Promise<Bytes> {
    let scanned = 0;
    for (;;) {
      const feed = this.#buffer.subarray(0, this.#end).indexOf(LF, this.#start + scanned);
      if (feed >= 0) {
        if (feed === this.#start || this.#buffer[feed - 1] !== CR) throw malformed("malformed line ending");
        return this.#take(feed + 1 - this.#start).subarray(0, -2);
      }
      scanned = this.buffered;
      if (scanned > limit) throw malformed("line too long");
      if (!(await this.fill())) throw malformed("unexpected end inside a body");
    }
  }

  /** The next piece, at most `most` bytes, the caller's to keep; null at the end. */
  async readPiece(most: number): Promise<Bytes | null> {
    if (this.buffered === 0 && !(await this.fill())) return null;
    return this.#take(Math.min(most, this.buffered));
  }

  /** As ByteStream.read: for the time after a hijack. Past the buffer it reads straight into the caller's memory. */
  async read(into: Uint8Array): Promise<number> {
    if (this.buffered === 0 && this.#filling !== null) await this.#filling;
    if (this.buffered === 0) return this.#ended ? 0 : this.#stream.read(into);
    const length = Math.min(into.length, this.buffered);
    into.set(this.#buffer.subarray(this.#start, this.#start + length));
    this.#start += length;
    return length;
  }

  /** Waits for more bytes; false when the peer's half is closed. */
  fill(): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    this.#filling ??= this.#fillOnce().finally(() => {
      this.#filling = null;
    });
    return this.#filling;
  }

  async #fillOnce(): Promise<boolean> {
    this.#makeRoom();
    const count = await this.#stream.read(this.#buffer.subarray(this.#end));
    if (count === 0) this.#ended = true;
    this.#end += count;
    return count > 0;
  }

  #makeRoom(): void {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    const held = this.buffered;
    if (this.#end < this.#buffer.length) return;
    // Full: the peer is ahead of us, so a larger buffer saves reads. Past the bound only an unfinished head gets here.
    const wanted = held > MAX_BUFFER_BYTES / 2 ? held * 2 : Math.min(this.#buffer.length * 2, MAX_BUFFER_BYTES);
    const next = wanted > this.#buffer.length ? new Uint8Array(wanted) : this.#buffer;
    next.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = next;
    this.#start = 0;
    this.#end = held;
  }

  #take(length: number): Bytes {
    const piece = this.#buffer.slice(this.#start, this.#start + length);
    this.#start += length;
    // After a burst the buffer is full and drained: let it grow, so that a long body needs fewer reads.
    const drained = this.#start === this.#end;
    if (drained && this.#end === this.#buffer.length && this.#buffer.length < MAX_BUFFER_BYTES) {
      this.#buffer = new Uint8Array(Math.min(this.#buffer.length * 4, MAX_BUFFER_BYTES));
      this.#start = this.#end = 0;
    }
    return piece;
  }

  /** Length of the complete head in the buffer, or 0; looks only at bytes not seen in the last scan. */
  #findHeadEnd(scanned: number): number {
    const view = this.#buffer.subarray(this.#start, this.#end);
    for (let at = view.indexOf(LF, scanned); at >= 0; at = view.indexOf(LF, at + 1)) {
      if (at === 0 || view[at - 1] !== CR) throw malformed("malformed line ending");
      if (at < 3 || view[at - 2] !== LF) continue;
      if (at === 3) throw malformed("empty HTTP message head");
      return at + 1;
    }
    return 0;
  }
}
