// The log as dockerd writes it where it reads the container's output itself (FIFO mode): the same files, bounds and
// parts of lines as the shim's.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import type { Bytes } from "../../../base/bytes.ts";
import { type LogFormat, MAX_LINE_BYTES, type Part, type StreamName } from "./entry.ts";

/** Bytes of records that are gathered before they are written. */
const BATCH_BYTES = 256 * 1024;
const NEWLINE = 10;
/** More than any record. */
const TAIL_BYTES = 256 * 1024;

export interface LogLimits {
  /** Bytes; null for no limit. */
  maxSize: number | null;
  maxFile: number;
}

/** A line that is under way on a stream. */
interface Held {
  bytes: Bytes;
  parts: { id: string; sent: number; time: bigint } | null;
}

export class LogWriter {
  readonly #path: string;
  readonly #limits: LogLimits;
  readonly #format: LogFormat;
  readonly #held: Record<StreamName, Held> = { stdout: nothing(), stderr: nothing() };
  #fd: number;
  #size: number;
  #batch: Bytes[] = [];
  #batched = 0;

  constructor(path: string, limits: LogLimits, format: LogFormat) {
    this.#path = path;
    this.#limits = limits;
    this.#format = format;
    this.#fd = openSync(path, "a+", 0o640);
    this.#size = fstatSync(this.#fd).size;
    this.#cutTornTail();
  }

  /** Output as it came; whole lines are written, the rest waits for its newline. Throws when the disk takes no more:
   *  what was given is lost then. */
  write(stream: StreamName, bytes: Uint8Array): void {
    const time = now();
    const held = this.#held[stream];
    const data: Bytes = new Uint8Array(held.bytes.length + bytes.length);
    data.set(held.bytes);
    data.set(bytes, held.bytes.length);
    let at = 0;
    for (;;) {
      const newline = data.indexOf(NEWLINE, at);
      let end = newline < 0 ? data.length : newline;
      if (newline < 0 && end - at < MAX_LINE_BYTES) break;
      const cut = end - at >= MAX_LINE_BYTES;
      if (cut) end = at + this.#cut(data.subarray(at, at + MAX_LINE_BYTES));
      this.#record({ stream, line: data.subarray(at, end), time, last: !cut });
      at = cut ? end : end + 1;
    }
    held.bytes = data.slice(at);
    this.#flush();
  }

  /** Writes what has no newline, and closes. Idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    try {
      for (const stream of ["stdout", "stderr"] as const) {
        const { bytes } = this.#held[stream];
        if (bytes.length > 0) this.#record({ stream, line: bytes, time: now(), last: false });
        this.#held[stream] = nothing();
      }
      this.#flush();
    } finally {
      closeSync(this.#fd);
      this.#fd = -1;
    }
  }

  /** Of a whole line, or of a part of one if there is more of it or was before. */
  #record(of: { stream: StreamName; line: Bytes; time: bigint; last: boolean }): void {
    const held = this.#held[of.stream];
    let part: Part | null = null;
    if (!of.last || held.parts !== null) {
      held.parts ??= { id: randomBytes(32).toString("hex"), sent: 0, time: of.time };
      part = { id: held.parts.id, ordinal: ++held.parts.sent, last: of.last };
    }
    const time = held.parts?.time ?? of.time;
    if (of.last) held.parts = null;
    this.#append(this.#format.make({ stream: of.stream, line: of.line, time, part }));
  }

  #append(record: Bytes): void {
    const { maxSize } = this.#limits;
    if (maxSize !== null && this.#size + this.#batched >= maxSize) {
      this.#flush();
      this.#rotate();
    }
    this.#batch.push(record);
    this.#batched += record.length;
    if (this.#batched >= BATCH_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#batched === 0) return;
    const bytes = Buffer.concat(this.#batch);
    this.#batch = [];
    this.#batched = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#size += bytes.length;
    } catch (thrown) {
      // Only whole records stand in the file.
      ftruncateSync(this.#fd, this.#size);
      throw thrown;
    }
  }

  #rotate(): void {
    const next = openSync(`${this.#path}.next`, "w", 0o640);
    shiftLogs(this.#path, this.#limits.maxFile);
    renameSync(`${this.#path}.next`, this.#path);
    closeSync(this.#fd);
    this.#fd = next;
    this.#size = 0;
  }

  /** Where a part ends that is as long as it may be. */
  #cut(piece: Uint8Array): number {
    return this.#format.exact ? piece.length : cutAtCharacter(piece);
  }

  /** A power cut may leave half a record at the end: nothing could be read behind it. */
  #cutTornTail(): void {
    if (this.#size === 0) return;
    const tail = new Uint8Array(Math.min(this.#size, TAIL_BYTES));
    readSync(this.#fd, tail, 0, tail.length, this.#size - tail.length);
    const last = this.#format.backwards(tail, tail.length, tail.length === this.#size);
    if (typeof last === "object" && last.whole) return;
    const data = new Uint8Array(this.#size);
    readSync(this.#fd, data, 0, data.length, 0);
    const { used } = this.#format.parse(data);
    if (used === this.#size) return;
    ftruncateSync(this.#fd, used);
    this.#size = used;
  }
}

function nothing(): Held {
  return { bytes: new Uint8Array(0), parts: null };
}

function now(): bigint {
  return BigInt(Math.floor((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
}

/** path.3 ─▶ path.4, … path ─▶ path.1, each compressed or not; the oldest one goes. */
function shiftLogs(path: string, maxFile: number): void {
  for (let number = maxFile - 1; number > 1; number--) {
    for (const end of ["", ".gz"]) move(`${path}.${number - 1}${end}`, `${path}.${number}${end}`);
  }
  if (maxFile < 2) return;
  rmSync(`${path}.1.gz`, { force: true });
  move(path, `${path}.1`);
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
    rmSync(to, { force: true });
  }
}

/** `<path>.compressed` was made of the rotated file with this inode and takes its place, if that is still there. In one
 *  go: nobody else in this process renames meanwhile. False: that file is gone. */
export function replaceRotated(path: string, inode: number, maxFile: number): boolean {
  for (let number = 1; number < maxFile; number++) {
    const plain = `${path}.${number}`;
    if (statSync(plain, { throwIfNoEntry: false })?.ino !== inode) continue;
    renameSync(`${path}.compressed`, `${plain}.gz`);
    unlinkSync(plain);
    return true;
  }
  rmSync(`${path}.compressed`, { force: true });
  return false;
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
