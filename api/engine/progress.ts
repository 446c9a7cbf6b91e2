// The progress stream of pull, push, load, import: JSON objects one after the other, each followed by CR LF. Before the
// first one a failure is an HTTP status; after it, an object with `error`.

import { type Bytes, concatBytes, decodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";

export interface ProgressMessage {
  stream?: string;
  status?: string;
  id?: string;
  progressDetail?: { current?: number; total?: number; units?: string; hidecounts?: boolean; start?: number };
  /** Rendered form, for old clients. */
  progress?: string;
  errorDetail?: { code?: number; message: string };
  /** The same text again, for old clients. */
  error?: string;
  aux?: unknown;
}

/** Bytes one object of a JSON stream may have. */
export const MAX_STREAM_OBJECT_BYTES = 8 * 1024 * 1024;

const NEWLINE = 10;

/** Splits a stream of JSON objects that end with a line feed: progress, events, stats. */
export class JsonLines {
  #held: Uint8Array[] = [];
  #heldLength = 0;

  push(bytes: Bytes): unknown[] {
    const values: unknown[] = [];
    let start = 0;
    for (let feed = bytes.indexOf(NEWLINE); feed >= 0; feed = bytes.indexOf(NEWLINE, start)) {
      this.#hold(bytes.subarray(start, feed));
      start = feed + 1;
      const value = this.#take();
      if (value !== undefined) values.push(value);
    }
    this.#hold(bytes.subarray(start));
    return values;
  }

  /** What stood behind the last line feed; undefined when nothing did. */
  end(): unknown {
    return this.#take();
  }

  #hold(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#heldLength += part.length;
    if (this.#heldLength > MAX_STREAM_OBJECT_BYTES) throw new Failure("resource_exhausted", "JSON object too large");
    this.#held.push(part);
  }

  #take(): unknown {
    const text = decodeUtf8(concatBytes(this.#held)).trim();
    this.#held = [];
    this.#heldLength = 0;
    return text === "" ? undefined : parseJson(text);
  }
}
