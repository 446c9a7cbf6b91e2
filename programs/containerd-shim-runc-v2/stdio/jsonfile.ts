// Docker's json-file log, written by the shim: one JSON object for each line, in order of arrival, rotated by size.
//
//     {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}
//
// A line longer than LOG_PART goes out in parts, all but the last without "\n", as Docker's own copier cuts it. Only
// whole objects stand in the file: what a full disk cut short is taken back, counted and said.

import { encodeUtf8 } from "../../../base/bytes.ts";
import { formatTime, wallNanoseconds } from "../../../linux/clock.ts";
import { door } from "../../../linux/door.ts";
import { LOG_PART } from "../limits.ts";
import type { HeldLine } from "./held.ts";
import type { LogFile } from "./logfile.ts";

export type StreamName = "stdout" | "stderr";

/** Six bytes for each byte is the most that escaping makes of it; the rest is the object around the text. */
const ENVELOPE = 160;
const BUFFER_SIZE = LOG_PART * 6 + ENVELOPE;
const NEWLINE = 10;
const BACKSLASH = 0x5c;
const LETTER_N = 0x6e;

export class JsonFile {
  readonly #file: LogFile;
  readonly #held: Record<StreamName, HeldLine>;
  #buffer: Uint8Array = new Uint8Array(0);
  #prefix: Uint8Array = new Uint8Array(0);
  /** What follows the text of every line of the chunk at hand. */
  #suffix: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #lines = 0;
  /** Objects that an earlier shim made of the chunk that comes first now: they are made again and left out. */
  #leaveOut = 0;

  /** Borrows the file. `held`: where unfinished lines are kept. */
  constructor(file: LogFile, held: Record<StreamName, HeldLine>) {
    this.#file = file;
    this.#held = held;
  }

  leaveOut(objects: number): void {
    this.#leaveOut = objects;
  }

  write(stream: StreamName, chunk: Uint8Array): void {
    this.#begin(stream);
    const held = this.#held[stream];
    for (let at = 0; at < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline < 0 ? chunk.length : newline;
      const parts = held.count + end - at >= LOG_PART;
      if (parts) at = this.#parts(stream, chunk, { at, end });
      if (newline < 0) held.append(chunk.subarray(at, end));
      else if (held.count === 0) this.#emit(chunk, at, newline, true);
      else this.#finish(stream, chunk.subarray(at, newline));
      at = end + 1;
    }
    this.#flush();
  }

  /** A last line without its newline. */
  end(stream: StreamName): void {
    const held = this.#held[stream];
    if (held.count === 0) return;
    this.#begin(stream);
    this.#emit(held.bytes(), 0, held.count, false);
    held.clear();
    this.#flush();
  }

  #begin(stream: StreamName): void {
    if (this.#buffer.length === 0) {
      this.#buffer = new Uint8Array(BUFFER_SIZE);
      this.#prefix = encodeUtf8('{"log":"');
    }
    this.#suffix = encodeUtf8(`","stream":"${stream}","time":"${formatTime(wallNanoseconds())}"}\n`);
  }

  /** Emits parts while the line so far fills one; gives where in the chunk it stopped. */
  #parts(stream: StreamName, chunk: Uint8Array, line: { at: number; end: number }): number {
    const held = this.#held[stream];
    let at = line.at;
    while (held.count + line.end - at >= LOG_PART) {
      if (held.count > 0) {
        const taken = LOG_PART - held.count;
        held.append(chunk.subarray(at, at + taken));
        at += taken;
        const whole = held.bytes();
        const cut = boundary(whole, LOG_PART);
        this.#emit(whole, 0, cut, false);
        held.keepFrom(cut);
      } else {
        const cut = boundary(chunk.subarray(at, at + LOG_PART), LOG_PART);
        this.#emit(chunk, at, at + cut, false);
        at += cut;
      }
    }
    return at;
  }

  #finish(stream: StreamName, rest: Uint8Array): void {
    const held = this.#held[stream];
    held.append(rest);
    this.#emit(held.bytes(), 0, held.count, true);
    held.clear();
  }

  /** One object of from[start..end). The hottest lines of the shim: four parameters rather than an object for each. */
  #emit(from: Uint8Array, start: number, end: number, whole: boolean): void {
    const into = this.#buffer;
    const suffix = this.#suffix;
    if (this.#filled + (end - start) * 6 + ENVELOPE > BUFFER_SIZE) this.#flush();
    into.set(this.#prefix, this.#filled);
    let at = door().escapeJson(from, start, end, into, this.#filled + this.#prefix.length);
    if (whole) {
      into[at++] = BACKSLASH;
      into[at++] = LETTER_N;
    }
    into.set(suffix, at);
    this.#filled = at + suffix.length;
    this.#lines++;
    if (this.#file.isFull(this.#filled)) this.#flush();
  }

  #flush(): void {
    if (this.#filled === 0) return;
    let start = 0;
    for (; this.#leaveOut > 0 && this.#lines > 0; this.#leaveOut--, this.#lines--) {
      start = this.#buffer.indexOf(NEWLINE, start) + 1;
    }
    if (this.#lines > 0) this.#file.append(this.#buffer.subarray(start, this.#filled), this.#lines);
    this.#filled = 0;
    this.#lines = 0;
  }
}

/** The largest cut at most `length` that does not divide a UTF-8 character (of at most four bytes). */
function boundary(bytes: Uint8Array, length: number): number {
  for (let back = 1; back <= 3; back++) {
    const byte = bytes[length - back]!;
    if (byte < 0x80) return length;
    if (byte < 0xc0) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needs > back ? length - back : length;
  }
  return length;
}
