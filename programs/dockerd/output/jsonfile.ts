// Docker's json-file format: one JSON object a line.

import { type Bytes, decodeUtf8, encodeUtf8 } from "../../../base/bytes.ts";
import { formatTime } from "../containers/record.ts";
import type { Found, LogEntry, LogFormat, NewRecord } from "./entry.ts";

const NEWLINE = 10;
/** A line that is longer than this is no record of ours; it is skipped. */
const MAX_RECORD_BYTES = 1024 * 1024;

export class JsonFormat implements LogFormat {
  readonly exact = false;
  readonly #attrs: string;

  constructor(attrs: Readonly<Record<string, string>> = {}) {
    this.#attrs = Object.keys(attrs).length === 0 ? "" : `"attrs":${goJson(attrs)},`;
  }

  parse(data: Bytes): Found {
    const entries: LogEntry[] = [];
    let at = 0;
    for (let newline = data.indexOf(NEWLINE); newline >= 0; newline = data.indexOf(NEWLINE, at)) {
      const entry = parseEntry(data.subarray(at, newline));
      if (entry !== null) entries.push(entry);
      at = newline + 1;
    }
    // What goes on and on without a newline is given up, up to where it ends.
    if (data.length - at > MAX_RECORD_BYTES) at = data.length;
    return { entries, used: at, damaged: false };
  }

  backwards(data: Bytes, end: number, fromStart: boolean): { start: number; whole: boolean } | "more" {
    // What has no newline at the end of the file is not whole yet.
    const whole = data[end - 1] === NEWLINE;
    const before = whole && end === 1 ? -1 : data.lastIndexOf(NEWLINE, whole ? end - 2 : end - 1);
    return before < 0 && !fromStart ? "more" : { start: before + 1, whole };
  }

  make({ stream, line, time, part }: NewRecord): Bytes {
    const text = lossy.decode(line) + (part === null || part.last ? "\n" : "");
    const when = formatTime(Number(time / 1_000_000n), Number(time % 1_000_000n));
    return encodeUtf8(`{"log":${goJson(text)},"stream":"${stream}",${this.#attrs}"time":"${when}"}\n`);
  }
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });

/** As Docker writes it, which knows no short escapes but for quote, backslash, \\n and \\r. */
function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/\\[^u]|[<>&\u2028\u2029]/g, (found) => {
    const code = SHORT[found] ?? found.charCodeAt(0);
    return found.startsWith("\\") && SHORT[found] === undefined ? found : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const SHORT: Readonly<Record<string, number>> = { "\\t": 9, "\\b": 8, "\\f": 12 };

/** Null when the line is no record (a damaged file): the reader skips it. */
function parseEntry(line: Uint8Array): LogEntry | null {
  try {
    const value = JSON.parse(decodeUtf8(line)) as Partial<Record<string, unknown>> | null;
    if (typeof value !== "object" || value === null || typeof value["log"] !== "string") return null;
    return {
      stream: value["stream"] === "stderr" ? "stderr" : "stdout",
      bytes: encodeUtf8(value["log"]),
      time: typeof value["time"] === "string" ? value["time"] : "",
      attrs: (value["attrs"] as LogEntry["attrs"] | undefined) ?? null,
    };
  } catch {
    return null;
  }
}
