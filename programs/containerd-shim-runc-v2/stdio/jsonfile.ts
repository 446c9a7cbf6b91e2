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
import type { LogFile } from "./logfile.ts";

export type StreamName = "stdout" | "stderr";

/** Six bytes for each byte is the most that escaping makes of it; the rest is the object around the text. */
const ENVELOPE = 160;
const BUFFER_SIZE = LOG_PART * 6 + ENVELOPE;
const NEWLINE = 10;

export class JsonFile {
  readonly #file: LogFile;
  readonly #held: Record<StreamName, Uint8Array | null> = { stdout: null, stderr: null };
  readonly #count: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  #buffer: Uint8Array | null = null;
  #filled = 0;
  #lines = 0;
  #prefix: Uint8Array | null = null;

  /** Borrows the file. */
  constructor(file: LogFile) {
    this.#file = file;
  }

  write(stream: StreamName, chunk: Uint8Array): void {
    const suffix = suffixOf(stream);
    for (let at = 0; at < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline < 0 ? chunk.length : newline;
      at = this.#parts(stream, { chunk, at, end }, suffix);
      if (newline >= 0) {
        this.#finish(stream, { chunk, at, end }, suffix);
        at = newline + 1;
      } else {
        this.#hold(stream, chunk.subarray(at, end));
        at = end;
      }
    }
    this.#flush();
  }

  /** A last line without its newline. */
  end(stream: StreamName): void {
    const count = this.#count[stream];
    if (count === 0) return;
    this.#count[stream] = 0;
    this.#emit(this.#held[stream]!.subarray(0, count), false, suffixOf(stream));
    this.#flush();
  }

  /** Emits parts while the line so far fills one; gives where in the chunk it stopped. */
  #parts(stream: StreamName, line: { chunk: Uint8Array; at: number; end: number }, suffix: Uint8Array): number {
    let at = line.at;
    while (this.#count[stream] + line.end - at >= LOG_PART) {
      const count = this.#count[stream];
      if (count > 0) {
        const taken = LOG_PART - count;
        this.#hold(stream, line.chunk.subarray(at, at + taken));
        at += taken;
        const whole = this.#held[stream]!;
        const cut = boundary(whole, LOG_PART);
        this.#emit(whole.subarray(0, cut), false, suffix);
        whole.copyWithin(0, cut, LOG_PART);
        this.#count[stream] = LOG_PART - cut;
      } else {
        const part = line.chunk.subarray(at, at + LOG_PART);
        const cut = boundary(part, LOG_PART);
        this.#emit(part.subarray(0, cut), false, suffix);
        at += cut;
      }
    }
    return at;
  }

  #finish(stream: StreamName, line: { chunk: Uint8Array; at: number; end: number }, suffix: Uint8Array): void {
    const rest = line.chunk.subarray(line.at, line.end);
    if (this.#count[stream] === 0) {
      this.#emit(rest, true, suffix);
      return;
    }
    this.#hold(stream, rest);
    const count = this.#count[stream];
    this.#count[stream] = 0;
    this.#emit(this.#held[stream]!.subarray(0, count), true, suffix);
  }

  #hold(stream: StreamName, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#held[stream] ??= new Uint8Array(LOG_PART);
    this.#held[stream].set(bytes, this.#count[stream]);
    this.#count[stream] += bytes.length;
  }

  #emit(text: Uint8Array, whole: boolean, suffix: Uint8Array): void {
    this.#buffer ??= new Uint8Array(BUFFER_SIZE);
    this.#prefix ??= encodeUtf8('{"log":"');
    if (this.#filled + text.length * 6 + ENVELOPE > BUFFER_SIZE) this.#flush();
    const into = this.#buffer;
    const start = this.#filled;
    into.set(this.#prefix, start);
    let at = door().escapeJson(text, 0, text.length, into, start + this.#prefix.length);
    if (whole) {
      into[at++] = 0x5c;
      into[at++] = 0x6e;
    }
    into.set(suffix, at);
    this.#filled = at + suffix.length;
    this.#lines++;
    if (this.#file.isFull(this.#filled)) this.#flush();
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.#file.append(this.#buffer!.subarray(0, this.#filled), this.#lines);
    this.#filled = 0;
    this.#lines = 0;
  }
}

function suffixOf(stream: StreamName): Uint8Array {
  return encodeUtf8(`","stream":"${stream}","time":"${formatTime(wallNanoseconds())}"}\n`);
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
