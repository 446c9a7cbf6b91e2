// The format of Docker's `local` driver: each record is a protobuf message (api/task/log_entry.proto) with its length,
// big-endian, on both sides, so that a file can be read from either end. The line's bytes are as they came.
//
//     length │ source, time │ line │ partial, which part, attributes │ length

import { LogEntry } from "../../../api/task/gen/log_entry.ts";
import { encodeUtf8 } from "../../../base/bytes.ts";
import { door } from "../../../linux/door.ts";
import { must } from "../../../linux/errno.ts";
import { SYS_pread64 } from "../../../linux/numbers.ts";
import type { Around, Moment, Part, RecordFormat, StreamName } from "./records.ts";

const FRAMED = 1;
/** Bytes of a length, of which a record has two. */
const LENGTH = 4;
const VARINT_TIME = 9;
/** Bytes of a file that are looked at together: more than any record. */
const PIECE = 256 << 10;

export class LocalRecords implements RecordFormat {
  readonly flags = FRAMED;
  readonly exact = true;
  readonly #attrs: { key: string; value: string }[];
  /** Made once: of one record to the next only the time changes. */
  readonly #prefix: Record<StreamName, Uint8Array | null> = { stdout: null, stderr: null };
  #whole: Uint8Array | null = null;
  #line: { id: string; suffix: Uint8Array; ordinalAt: number } | null = null;

  constructor(attrs: Readonly<Record<string, string>>) {
    this.#attrs = Object.keys(attrs)
      .sort()
      .map((key) => ({ key, value: attrs[key]! }));
  }

  around(stream: StreamName, { time, part }: Moment): Around {
    const fresh = () => LogEntry.encode(LogEntry.create({ source: stream, timeNano: time }));
    const usual = time >> 56n > 0n && time >> 63n === 0n;
    const prefix = usual ? (this.#prefix[stream] ??= fresh()) : fresh();
    if (usual) setTime(prefix, time);
    if (part === null) return { prefix, suffix: (this.#whole ??= this.#after(null)) };
    return { prefix, suffix: this.#partOf(part) };
  }

  /** Of one part of a line to the next only the ordinal changes: one byte, but for lines beyond 2 MiB. */
  #partOf(part: Part): Uint8Array {
    const line = this.#line;
    if (line === null || line.id !== part.id || part.last || part.ordinal > 127) {
      const suffix = this.#after(part);
      this.#whole ??= this.#after(null);
      if (part.ordinal === 1) this.#line = { id: part.id, suffix, ordinalAt: suffix.length - this.#whole.length - 1 };
      return suffix;
    }
    line.suffix[line.ordinalAt] = part.ordinal;
    return line.suffix;
  }

  #after(part: Part | null): Uint8Array {
    if (part === null || part.ordinal > 127) {
      return LogEntry.encode(LogEntry.create({ partial: part !== null, partialLogMetadata: part, attrs: this.#attrs }));
    }
    // By hand, because a log of long lines has one of these for every few records.
    this.#whole ??= this.#after(null);
    const id = encodeUtf8(part.id);
    const head = part.last
      ? [0x20, 1, 0x2a, id.length + 6, 8, 1, 0x12, id.length]
      : [0x20, 1, 0x2a, id.length + 4, 0x12, id.length];
    const suffix = new Uint8Array(head.length + id.length + 2 + this.#whole.length);
    suffix.set(head);
    suffix.set(id, head.length);
    suffix.set([0x18, part.ordinal], head.length + id.length);
    suffix.set(this.#whole, head.length + id.length + 2);
    return suffix;
  }

  whole(bytes: Uint8Array, length: number): { records: number; length: number } {
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    let records = 0;
    let end = 0;
    for (let next = after(view, end); next !== null; next = after(view, end)) {
      records++;
      end = next;
    }
    return { records, length: end };
  }

  past(bytes: Uint8Array, records: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (let left = records; left > 0; left--) at = after(view, at) ?? bytes.length;
    return at;
  }

  /** All of it if there is a record at the end. Else forwards from the start: what a crash left behind the last record
   *  may look like anything. */
  intact(file: number, size: number): number {
    const piece = new Uint8Array(PIECE);
    const start = Math.max(0, size - PIECE);
    const tail = must("read", `fd ${file}`, door().syscall(SYS_pread64, file, piece, piece.length, start));
    if (endsWithRecord(new DataView(piece.buffer, 0, tail))) return size;
    for (let at = 0; ; ) {
      const got = must("read", `fd ${file}`, door().syscall(SYS_pread64, file, piece, piece.length, at));
      const { length } = this.whole(piece, got);
      at += length;
      if (length === 0 || at >= size) return at;
    }
  }
}

/** The time is the last field: a varint of nine bytes, seven bits each, for any moment from 1972 to 2262. */
function setTime(prefix: Uint8Array, time: bigint): void {
  const [low, middle] = [Number(time & 0xfffffffn), Number((time >> 28n) & 0xfffffffn)];
  const start = prefix.length - VARINT_TIME;
  for (let at = 0; at < 4; at++) {
    prefix[start + at] = ((low >> (7 * at)) & 0x7f) | 0x80;
    prefix[start + 4 + at] = ((middle >> (7 * at)) & 0x7f) | 0x80;
  }
  prefix[start + 8] = Number(time >> 56n);
}

function endsWithRecord(view: DataView): boolean {
  if (view.byteLength < 2 * LENGTH) return false;
  const length = view.getUint32(view.byteLength - LENGTH);
  const start = view.byteLength - 2 * LENGTH - length;
  return length > 0 && start >= 0 && view.getUint32(start) === length;
}

/** Where the record at `start` ends; null if it is not whole. */
function after(view: DataView, start: number): number | null {
  if (start + 2 * LENGTH > view.byteLength) return null;
  const length = view.getUint32(start);
  const end = start + LENGTH + length;
  // No record is empty: zeros are what a file system puts where nothing was written.
  if (length === 0 || end + LENGTH > view.byteLength || view.getUint32(end) !== length) return null;
  return end + LENGTH;
}
