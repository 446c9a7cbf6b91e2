// Docker's json-file log: one JSON object a line. The writer is used where dockerd itself reads the container's output
// (FIFO mode); in shim mode the shim writes the same format and only logread.ts reads it here.

import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import { decodeUtf8, encodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { nowText } from "../containers/record.ts";

export interface LogEntry {
  stream: "stdout" | "stderr";
  /** With its newline, unless the line was longer than MAX_LINE_BYTES or the output ended without one. */
  log: string;
  time: string;
  attrs: Record<string, string> | null;
}

/** Bytes of output in one entry; a longer line is cut into several. */
export const MAX_LINE_BYTES = 16 * 1024;
/** Bounds when nobody sets any: bytes of a file and number of files. */
export const DEFAULT_MAX_SIZE = 20 * 1024 * 1024;
export const DEFAULT_MAX_FILE = 5;

export interface LogLimits {
  /** Bytes; null for no limit. */
  maxSize: number | null;
  maxFile: number;
}

/** Reads --log-opt max-size and max-file. Throws invalid_argument with the original's words. */
export function readLogLimits(options: Readonly<Record<string, string>>): LogLimits {
  const known = ["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode"];
  for (const name of Object.keys(options)) {
    if (![...known, "max-buffer-size"].includes(name)) {
      throw new Failure("invalid_argument", `unknown log opt '${name}' for json-file log driver`);
    }
  }
  const sizeText = options["max-size"];
  const fileText = options["max-file"];
  const maxSize = sizeText === undefined ? DEFAULT_MAX_SIZE : parseSize(sizeText);
  if (fileText === undefined) return { maxSize, maxFile: sizeText === undefined ? DEFAULT_MAX_FILE : 1 };
  const maxFile = /^\d{1,4}$/.test(fileText) ? Number(fileText) : 0;
  if (maxFile < 1) throw new Failure("invalid_argument", "max-file cannot be less than 1");
  return { maxSize, maxFile };
}

/** "10m", "1g", "512k", "-1" (no limit): binary units, as Docker reads them. */
export function parseSize(text: string): number | null {
  if (text === "-1") return null;
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?$/i.exec(text.trim());
  if (match === null) throw new Failure("invalid_argument", `invalid size: '${text}'`);
  const power = " kmgtp".indexOf(match[2]!.toLowerCase() === "" ? " " : match[2]!.toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** power);
}

export class JsonFileWriter {
  readonly #path: string;
  readonly #limits: LogLimits;
  readonly #rest = { stdout: new Uint8Array(0), stderr: new Uint8Array(0) };
  #fd: number;
  #size: number;

  constructor(path: string, limits: LogLimits) {
    this.#path = path;
    this.#limits = limits;
    this.#fd = openSync(path, "a+", 0o640);
    this.#size = fstatSync(this.#fd).size;
    this.#cutTornTail();
  }

  /** Output as it came; whole lines are written, the rest waits for its newline. */
  write(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const held = this.#rest[stream];
    let data = bytes;
    if (held.length > 0) {
      data = new Uint8Array(held.length + bytes.length);
      data.set(held);
      data.set(bytes, held.length);
    }
    const time = nowText();
    let text = "";
    let at = 0;
    for (;;) {
      const newline = data.indexOf(10, at);
      let end = newline < 0 ? data.length : newline + 1;
      if (newline < 0 && end - at < MAX_LINE_BYTES) break;
      if (end - at > MAX_LINE_BYTES) end = at + cutAtCharacter(data.subarray(at, at + MAX_LINE_BYTES));
      text += formatEntry(data.subarray(at, end), stream, time);
      at = end;
      if (at === data.length) break;
    }
    this.#rest[stream] = data.slice(at);
    if (text !== "") this.#append(encodeUtf8(text));
  }

  /** Writes what has no newline, and closes. Idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = this.#rest[stream];
      if (rest.length > 0) this.#append(encodeUtf8(formatEntry(rest, stream, nowText())));
      this.#rest[stream] = new Uint8Array(0);
    }
    closeSync(this.#fd);
    this.#fd = -1;
  }

  #append(bytes: Uint8Array): void {
    const { maxSize } = this.#limits;
    if (maxSize !== null && this.#size > 0 && this.#size + bytes.length > maxSize) this.#rotate();
    let at = 0;
    while (at < bytes.length) at += writeSync(this.#fd, bytes, at);
    this.#size += bytes.length;
  }

  #rotate(): void {
    closeSync(this.#fd);
    if (this.#limits.maxFile > 1) {
      for (let number = this.#limits.maxFile - 1; number > 1; number--) {
        const older = `${this.#path}.${number - 1}`;
        if (existsSync(older)) renameSync(older, `${this.#path}.${number}`);
      }
      renameSync(this.#path, `${this.#path}.1`);
    }
    this.#fd = openSync(this.#path, "w", 0o640);
    this.#size = 0;
  }

  /** A power cut may leave half a line at the end: nothing could be read behind it. */
  #cutTornTail(): void {
    const tail = Buffer.alloc(Math.min(this.#size, 4 * MAX_LINE_BYTES));
    if (tail.length === 0) return;
    readSync(this.#fd, tail, 0, tail.length, this.#size - tail.length);
    const cut = tail.length - (tail.lastIndexOf(10) + 1);
    if (cut === 0) return;
    this.#size -= cut;
    ftruncateSync(this.#fd, this.#size);
  }
}

/** A cut inside a character would spoil it: step back to its first byte. */
function cutAtCharacter(piece: Uint8Array): number {
  let end = piece.length;
  for (let back = 1; back <= 3; back++) {
    const byte = piece[piece.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (needs > back) end = piece.length - back;
    break;
  }
  return end;
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });

function formatEntry(bytes: Uint8Array, stream: "stdout" | "stderr", time: string): string {
  return `{"log":${JSON.stringify(lossy.decode(bytes))},"stream":"${stream}","time":"${time}"}\n`;
}

/** Null when the line is no entry (a damaged file): the reader skips it. */
export function parseEntry(line: Uint8Array): LogEntry | null {
  try {
    const value = JSON.parse(decodeUtf8(line)) as Partial<LogEntry>;
    if (typeof value !== "object" || value === null || typeof value.log !== "string") return null;
    return {
      stream: value.stream === "stderr" ? "stderr" : "stdout",
      log: value.log,
      time: value.time ?? "",
      attrs: value.attrs ?? null,
    };
  } catch {
    return null;
  }
}
