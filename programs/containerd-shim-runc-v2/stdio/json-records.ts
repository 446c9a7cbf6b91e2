// Docker's json-file format: one JSON object for each line, or part of a line.
//
//     {"log":"text\n","stream":"stdout","attrs":{"tag":"a"},"time":"2026-01-02T03:04:05.000000006Z"}
//
// Without attributes there are none. Bytes that are not UTF-8 become U+FFFD; a part is cut between two characters.

import { encodeUtf8 } from "../../../base/bytes.ts";
import { formatTime } from "../../../linux/clock.ts";
import { door } from "../../../linux/door.ts";
import { readAt } from "../../../linux/fd.ts";
import type { Around, Moment, RecordFormat, StreamName } from "./records.ts";

const NEWLINE = 10;
const ESCAPED_NEWLINE = "\\n";
/** Longer than any record. */
const TAIL = 128 << 10;

export class JsonRecords implements RecordFormat {
  readonly flags = 0;
  readonly exact = false;
  readonly #attrs: string;
  #prefix: Uint8Array | null = null;
  /** Made last, and for what: all records of a chunk, and all parts of a line, bear one time. */
  #suffix: { stream: StreamName; time: bigint; bytes: Uint8Array } | null = null;

  constructor(attrs: Readonly<Record<string, string>>) {
    const text = JSON.stringify(attrs).replace(/[<>&]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
    this.#attrs = text === "{}" ? "" : `"attrs":${text},`;
  }

  around(stream: StreamName, { time, part }: Moment): Around {
    this.#prefix ??= encodeUtf8('{"log":"');
    if (this.#suffix?.time !== time || this.#suffix.stream !== stream) {
      const text = `${ESCAPED_NEWLINE}","stream":"${stream}",${this.#attrs}"time":"${formatTime(time)}"}\n`;
      this.#suffix = { stream, time, bytes: encodeUtf8(text) };
    }
    const { bytes } = this.#suffix;
    const whole = part === null || part.last;
    return { prefix: this.#prefix, suffix: whole ? bytes : bytes.subarray(ESCAPED_NEWLINE.length) };
  }

  whole(bytes: Uint8Array, length: number): { records: number; length: number } {
    let records = 0;
    let end = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0 && at < length; at = bytes.indexOf(NEWLINE, at + 1)) {
      records++;
      end = at + 1;
    }
    return { records, length: end };
  }

  past(bytes: Uint8Array, records: number): number {
    let at = 0;
    for (let left = records; left > 0; left--) at = bytes.indexOf(NEWLINE, at) + 1;
    return at;
  }

  intact(file: number, size: number): number {
    const start = Math.max(0, size - TAIL);
    const end = start + readAt(file, start, size - start).lastIndexOf(NEWLINE) + 1;
    return end > start || start === 0 ? end : size;
  }
}
