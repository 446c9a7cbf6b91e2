// The format of Docker's `local` driver: protobuf messages (api/task/log_entry.proto), each between two copies of its
// length, big-endian.

import { LogEntry as Message } from "../../../api/task/gen/log_entry.ts";
import type { Bytes } from "../../../base/bytes.ts";
import type { Found, LogEntry, LogFormat, NewRecord } from "./entry.ts";

const LENGTH = 4;
/** Bytes of one message; the original reads no longer ones. */
const MAX_RECORD_BYTES = 1_000_000;
const NEWLINE = Uint8Array.of(10);

export class LocalFormat implements LogFormat {
  readonly exact = true;
  readonly #attrs: { key: string; value: string }[];

  constructor(attrs: Readonly<Record<string, string>> = {}) {
    this.#attrs = Object.entries(attrs)
      .map(([key, value]) => ({ key, value }))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  parse(data: Bytes): Found {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const entries: LogEntry[] = [];
    for (let at = 0; ; ) {
      if (at + LENGTH > data.length) return { entries, used: at, damaged: false };
      const length = view.getUint32(at);
      if (length === 0 || length > MAX_RECORD_BYTES) return { entries, used: at, damaged: true };
      const end = at + LENGTH + length;
      if (end + LENGTH > data.length) return { entries, used: at, damaged: false };
      if (view.getUint32(end) !== length) return { entries, used: at, damaged: true };
      const entry = parseEntry(data.subarray(at + LENGTH, end));
      if (entry !== null) entries.push(entry);
      at = end + LENGTH;
    }
  }

  backwards(data: Bytes, end: number, fromStart: boolean): { start: number; whole: boolean } | "more" | "damaged" {
    if (end < LENGTH) return fromStart ? "damaged" : "more";
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const length = view.getUint32(end - LENGTH);
    const start = end - 2 * LENGTH - length;
    if (length === 0 || length > MAX_RECORD_BYTES || (start < 0 && fromStart)) return "damaged";
    if (start < 0) return "more";
    return view.getUint32(start) === length ? { start, whole: true } : "damaged";
  }

  make({ stream, line, time, part }: NewRecord): Bytes {
    const message = Message.create({
      source: stream,
      timeNano: time,
      line,
      partial: part !== null,
      partialLogMetadata: part,
      attrs: this.#attrs,
    });
    const bytes = Message.encode(message);
    const record = new Uint8Array(bytes.length + 2 * LENGTH);
    const view = new DataView(record.buffer);
    view.setUint32(0, bytes.length);
    record.set(bytes, LENGTH);
    view.setUint32(LENGTH + bytes.length, bytes.length);
    return record;
  }
}

/** Null when it is no message of this kind. */
function parseEntry(bytes: Bytes): LogEntry | null {
  try {
    const { source, timeNano, line, partial, partialLogMetadata, attrs } = Message.decode(bytes);
    const whole = !partial || partialLogMetadata?.last === true;
    return {
      stream: source === "stderr" ? "stderr" : "stdout",
      bytes: whole ? Buffer.concat([line, NEWLINE]) : line,
      time: timeNano,
      attrs: attrs.length === 0 ? null : Object.fromEntries(attrs.map(({ key, value }) => [key, value])),
    };
  } catch {
    return null;
  }
}
