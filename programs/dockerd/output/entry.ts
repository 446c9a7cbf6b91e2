// One record of a container's log, as both formats give it, and what a format has to say about its files: how records
// are found in them, forwards and from the end, and how they are made where dockerd writes the log itself.

import type { Bytes } from "../../../base/bytes.ts";
import { formatTime } from "../containers/record.ts";
import { nanosecondsOf } from "../system/moment.ts";

export type StreamName = "stdout" | "stderr";

export interface LogEntry {
  stream: StreamName;
  /** As the container printed it: with its newline, unless it is a part of a line that does not end here. */
  bytes: Uint8Array;
  /** As the format has it: RFC 3339, or nanoseconds since 1970. */
  time: string | bigint;
  attrs: Readonly<Record<string, string>> | null;
}

/** Part of a line that was too long for one record, or of one that ended without its newline. */
export interface Part {
  /** The same for all parts of a line: 64 hexadecimal digits. */
  id: string;
  /** From 1. */
  ordinal: number;
  /** It ends with the line's newline. */
  last: boolean;
}

export interface NewRecord {
  stream: StreamName;
  /** Without the newline. */
  line: Uint8Array;
  /** Nanoseconds since 1970. */
  time: bigint;
  /** Null for a whole line. */
  part: Part | null;
}

export interface Found {
  entries: LogEntry[];
  /** Bytes that were looked at and need not be seen again. */
  used: number;
  /** What follows cannot be read: no more will be found in this file. */
  damaged: boolean;
}

export interface LogFormat {
  /** Whether a part may end inside a character. */
  readonly exact: boolean;
  /** Whole records from the start of `data`. */
  parse(data: Bytes): Found;
  /** Where the record begins that ends at `end`, which is not 0; `whole` is false for what is no record. "more": it
   *  begins before `data`, unless `data` is from the start of the file. */
  backwards(data: Bytes, end: number, fromStart: boolean): { start: number; whole: boolean } | "more" | "damaged";
  make(record: NewRecord): Bytes;
}

/** Bytes of a container's output in one record. */
export const MAX_LINE_BYTES = 16 * 1024;

/** Nanoseconds since 1970; 0 when the record's time cannot be read. */
export function momentOf(entry: LogEntry): bigint {
  return typeof entry.time === "bigint" ? entry.time : (nanosecondsOf(entry.time) ?? 0n);
}

/** RFC 3339. */
export function timeText(entry: LogEntry): string {
  if (typeof entry.time === "string") return entry.time;
  return formatTime(Number(entry.time / 1_000_000n), Number(entry.time % 1_000_000n));
}
