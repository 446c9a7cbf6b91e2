// Output into records of a log: lines are found and copied by the host (door.records), and what it leaves is done here,
// in one place: a line that goes on in the next chunk, and one that is longer than LOG_PART and goes out in parts.
//
//     chunk ─▶ [held beginning of a line] ─▶ whole lines … ─▶ a beginning is held ─▶ the file gets the records
//
// Buffers are there while output flows: one for a small chunk is made and dropped, one for a large chunk is kept until
// `relax`. All records of a chunk bear the time at which it was read.

import { toHex } from "../../../base/bytes.ts";
import { wallNanoseconds } from "../../../linux/clock.ts";
import { door } from "../../../linux/door.ts";
import { randomBytes } from "../../../linux/process.ts";
import { LOG_PART } from "../limits.ts";
import type { LogFile } from "./logfile.ts";
import type { Around, Part, RecordFormat, StreamName } from "./records.ts";

const NEWLINE = 10;
const FRAGMENT = 2;
/** What a record has around its line at most, attributes apart. */
const ENVELOPE = 256;
/** Bytes of records that are gathered before they are written, for chunks up to SMALL_CHUNK and for larger ones. */
const SMALL_BUFFER = 8 << 10;
const LARGE_BUFFER = 256 << 10;
const SMALL_CHUNK = 4 << 10;
/** The first room for a held beginning. */
const HELD_FIRST = 256;
const NO_STOP = 2 ** 31 - 1;

/** A line that is under way on a stream: its bytes that went nowhere yet. */
export interface Held {
  bytes: Uint8Array;
  count: number;
  /** Once a part of it went out. */
  parts: { id: string; sent: number; time: bigint } | null;
}

interface Range {
  bytes: Uint8Array;
  at: number;
  end: number;
}

export class LogLines {
  readonly #file: LogFile;
  readonly #format: RecordFormat;
  readonly held: Record<StreamName, Held | null>;
  #buffer: Uint8Array | null = null;
  /** As door.records has it. */
  readonly #cursor = new Int32Array(6);
  #records = 0;
  #ids = "";
  #longLines = 0;

  /** Records that an earlier shim made of the chunk that comes first now: they are made again and left out. */
  leaveOut = 0;

  /** Borrows the file. `held`: of an earlier shim. */
  constructor(file: LogFile, format: RecordFormat, held: Record<StreamName, Held | null>) {
    this.held = held;
    this.#file = file;
    this.#format = format;
  }

  write(stream: StreamName, chunk: Uint8Array): void {
    const time = wallNanoseconds();
    this.#file.look(time);
    this.#buffer ??= new Uint8Array(chunk.length > SMALL_CHUNK ? LARGE_BUFFER : SMALL_BUFFER);
    for (let at = 0; at < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, at);
      const short = newline >= 0 && newline - at < LOG_PART && this.held[stream] === null;
      const next = short ? this.#lines(stream, chunk, { at, time }) : at;
      at = next > at ? next : this.#piece(stream, chunk, { at, newline, time });
    }
    this.#flush();
    if (chunk.length <= SMALL_CHUNK) this.relax();
  }

  /** A last line without its newline. */
  end(stream: StreamName): void {
    const held = this.held[stream];
    if (held === null) return;
    const range = { bytes: held.bytes, at: 0, end: held.count };
    if (held.count > 0) this.#part(held, range, { time: wallNanoseconds(), stream, last: false });
    this.held[stream] = null;
    this.#flush();
    this.relax();
  }

  /** Nothing flows at the moment: what was kept for more is given back. */
  relax(): void {
    this.#buffer = null;
  }

  /** Whole lines, as far as they go; gives where in the chunk it stopped: at once if no buffer holds the first one. */
  #lines(stream: StreamName, chunk: Uint8Array, from: { at: number; time: bigint }): number {
    const around = this.#format.around(stream, { time: from.time, part: null });
    for (;;) {
      if (this.#make(0, { bytes: chunk, at: from.at, end: chunk.length }, around) > 0) return this.#cursor[1]!;
      if (this.#records > 0) this.#flush();
      else if (this.#buffer!.length < LARGE_BUFFER) this.#buffer = new Uint8Array(LARGE_BUFFER);
      else return from.at;
    }
  }

  /** A line's next piece: to its newline, or to the end of the chunk. */
  #piece(stream: StreamName, chunk: Uint8Array, from: { at: number; newline: number; time: bigint }): number {
    const { newline, time } = from;
    const end = newline < 0 ? chunk.length : newline;
    let { at } = from;
    this.held[stream] ??= { bytes: new Uint8Array(0), count: 0, parts: null };
    const held = this.held[stream];
    while (held.count + end - at >= LOG_PART) {
      const taken = LOG_PART - held.count;
      if (taken < LOG_PART) {
        hold(held, chunk.subarray(at, at + taken));
        const cut = this.#part(held, { bytes: held.bytes, at: 0, end: LOG_PART }, { time, stream, last: false });
        at += taken;
        held.bytes.copyWithin(0, cut, held.count);
        held.count -= cut;
      } else at = this.#part(held, { bytes: chunk, at, end: at + LOG_PART }, { time, stream, last: false });
    }
    if (newline < 0) {
      hold(held, chunk.subarray(at, end));
      return chunk.length;
    }
    this.held[stream] = null;
    let range = { bytes: chunk, at, end };
    if (held.count > 0) {
      hold(held, chunk.subarray(at, end));
      range = { bytes: held.bytes, at: 0, end: held.count };
    }
    if (held.parts === null) this.#record(range, this.#format.around(stream, { time, part: null }));
    else this.#part(held, range, { time, stream, last: true });
    return newline + 1;
  }

  /** A part of the line that `held` stands for; gives where it ends, which is never inside a character. */
  #part(held: Held, range: Range, of: { time: bigint; stream: StreamName; last: boolean }): number {
    held.parts ??= { id: this.#newId(), sent: 0, time: of.time };
    const part: Part = { id: held.parts.id, ordinal: ++held.parts.sent, last: of.last };
    const full = range.end - range.at === LOG_PART;
    const end = full && !this.#format.exact ? boundary(range.bytes, range.end) : range.end;
    const around = this.#format.around(of.stream, { time: held.parts.time, part });
    this.#record({ bytes: range.bytes, at: range.at, end }, around);
    return end;
  }

  /** 64 hexadecimal digits as the original's: random ones of this log, then a number. */
  #newId(): string {
    if (this.#ids === "") this.#ids = toHex(randomBytes(24));
    return this.#ids + (this.#longLines++).toString(16).padStart(16, "0");
  }

  #record(range: Range, around: Around): void {
    const most = (range.end - range.at) * 6 + around.prefix.length + around.suffix.length + ENVELOPE;
    if (this.#buffer === null || this.#cursor[3]! + most > this.#buffer.length) {
      this.#flush();
      if ((this.#buffer?.length ?? 0) < most) this.#buffer = new Uint8Array(Math.max(most, LARGE_BUFFER));
    }
    this.#make(FRAGMENT, range, around);
  }

  /** The host's part; gives how many records it made. */
  #make(flags: number, from: Range, around: Around): number {
    const cursor = this.#cursor;
    cursor[0] = this.#format.flags | flags;
    cursor[1] = from.at;
    cursor[2] = from.end;
    cursor[4] = Math.min(this.#file.room, NO_STOP);
    cursor[5] = 0;
    door().records(from.bytes, this.#buffer!, around.prefix, around.suffix, cursor);
    this.#records += cursor[5];
    if (cursor[3]! >= cursor[4]) this.#flush();
    return cursor[5];
  }

  #flush(): void {
    if (this.#records === 0) return;
    const left = Math.min(this.leaveOut, this.#records);
    let bytes = this.#buffer!.subarray(0, this.#cursor[3]);
    if (left > 0) bytes = bytes.subarray(this.#format.past(bytes, left));
    this.leaveOut -= left;
    if (this.#records > left) this.#file.append(bytes, this.#records - left);
    this.#cursor[3] = 0;
    this.#records = 0;
  }
}

function hold(held: Held, bytes: Uint8Array): void {
  const count = held.count + bytes.length;
  if (count > held.bytes.length) {
    const room = new Uint8Array(Math.min(LOG_PART, Math.max(HELD_FIRST, count, held.bytes.length * 2)));
    room.set(held.bytes.subarray(0, held.count));
    held.bytes = room;
  }
  held.bytes.set(bytes, held.count);
  held.count = count;
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
