// Reading a log with its rotated predecessors, compressed or not: all of it, or the last records, or on and on.
// Following waits for inotify (fs.watch) and goes over rotations by inode, so that nothing is missed or given twice; a
// file that somebody emptied is read from its start again.

import { type FSWatcher, watch } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { Bytes } from "../../../base/bytes.ts";
import { nanosecondsOf } from "../system/moment.ts";
import type { LogEntry, LogFormat } from "./entry.ts";
import { closeLogs, type OpenLog, openLogs, openSuccessors } from "./logfiles.ts";

const PIECE_BYTES = 64 * 1024;
/** Bytes looked at together from the end of a file; more if a record is longer. */
const BACK_BYTES = 256 * 1024;

export interface ReadOptions {
  /** Records from the end; null for all. */
  tail: number | null;
  /** Nanoseconds since 1970: compressed files whose last record is older need not be read. */
  since: bigint | null;
  /** Goes on until `ended` resolves and the last record was given. */
  follow: boolean;
  ended: Promise<unknown>;
  /** The reader is not wanted any more. */
  cancelled: { readonly aborted: boolean; onabort: (() => void) | null };
}

export interface LogSource {
  path: string;
  format: LogFormat;
}

export async function* readLog(source: LogSource, options: ReadOptions): AsyncGenerator<LogEntry> {
  using watcher = options.follow ? new Changes(dirname(source.path), options) : null;
  const logs = await openLogs(source.path);
  try {
    let current: PlainReader | null = null;
    const from = options.tail === null ? { log: 0, skip: 0, offset: 0 } : await findTail(logs, source, options.tail);
    for (const [index, log] of logs.entries()) {
      const wanted = index >= from.log && !isOlder(log, options.since);
      const [skip, offset] = index === from.log ? [from.skip, from.offset] : [0, 0];
      if (log.compressed) {
        if (wanted) yield* after(skip, unpacked(log, source.format, options));
        continue;
      }
      const { size } = await log.handle.stat();
      current = new PlainReader(log, source.format, wanted ? offset : size);
      // What is written from now on is nobody's who does not follow.
      yield* after(skip, entries(current, options, options.follow ? null : size));
    }
    if (watcher !== null) yield* follow({ source, logs, current, watcher, options });
  } finally {
    await closeLogs(logs);
  }
}

function isOlder(log: OpenLog, since: bigint | null): boolean {
  if (since === null || log.lastTime === null) return false;
  return (nanosecondsOf(log.lastTime) ?? since) < since;
}

interface Following {
  source: LogSource;
  /** Grows by the files that rotation brings; the caller closes them. */
  logs: OpenLog[];
  current: PlainReader | null;
  watcher: Changes;
  options: ReadOptions;
}

async function* follow(following: Following): AsyncGenerator<LogEntry> {
  const { source, logs, watcher, options } = following;
  let { current } = following;
  while (!options.cancelled.aborted) {
    const over = watcher.ended;
    if (current !== null) yield* entries(current, options, null);
    const next = await openSuccessors(source.path, current?.log.inode ?? null);
    logs.push(...next);
    // What was written between the last read and the rotation belongs before the new files.
    if (next.length > 0 && current !== null) yield* entries(current, options, null);
    for (const log of next) {
      if (log.compressed) yield* unpacked(log, source.format, options);
      else {
        current = new PlainReader(log, source.format, 0);
        yield* entries(current, options, null);
      }
    }
    if (next.length > 0) {
      await release(logs, current);
      continue;
    }
    if (over) return;
    await watcher.changed();
  }
}

/** A follower keeps no file but the one it reads: what rotation removed is gone from the disk, too. */
async function release(logs: OpenLog[], current: PlainReader | null): Promise<void> {
  await closeLogs(logs.filter((log) => log !== current?.log));
  logs.splice(0, logs.length, ...(current === null ? [] : [current.log]));
}

async function* entries(reader: PlainReader, options: ReadOptions, until: number | null): AsyncGenerator<LogEntry> {
  for (;;) {
    const found = await reader.read(until);
    if (found === null) return;
    for (const entry of found) {
      if (options.cancelled.aborted) return;
      yield entry;
    }
  }
}

/** Whole records of a file from an offset on; what is not whole yet is seen again next time. */
class PlainReader {
  readonly log: OpenLog;
  readonly #format: LogFormat;
  #offset: number;
  #held: Bytes = new Uint8Array(0);
  #damaged = false;

  constructor(log: OpenLog, format: LogFormat, offset: number) {
    this.log = log;
    this.#format = format;
    this.#offset = offset;
  }

  /** Null when there is nothing more at the moment, or before `until`. */
  async read(until: number | null): Promise<LogEntry[] | null> {
    const length = until === null ? PIECE_BYTES : Math.min(PIECE_BYTES, until - this.#offset);
    if (length <= 0) return null;
    const piece = new Uint8Array(length);
    const { bytesRead } = await this.log.handle.read(piece, 0, length, this.#offset);
    if (bytesRead === 0) return this.#emptied();
    this.#offset += bytesRead;
    if (this.#damaged) return [];
    const data = joined(this.#held, piece.subarray(0, bytesRead));
    const { entries, used, damaged } = this.#format.parse(data);
    this.#held = data.slice(used);
    this.#damaged = damaged;
    return entries;
  }

  async #emptied(): Promise<LogEntry[] | null> {
    if ((await this.log.handle.stat()).size >= this.#offset) return null;
    this.#offset = 0;
    this.#held = new Uint8Array(0);
    this.#damaged = false;
    return [];
  }
}

function joined(held: Bytes, piece: Bytes): Bytes {
  if (held.length === 0) return piece;
  const whole = new Uint8Array(held.length + piece.length);
  whole.set(held);
  whole.set(piece, held.length);
  return whole;
}

async function* after(skip: number, source: AsyncGenerator<LogEntry>): AsyncGenerator<LogEntry> {
  let left = skip;
  for await (const entry of source) if (left-- <= 0) yield entry;
}

async function* unpacked(log: OpenLog, format: LogFormat, options: ReadOptions): AsyncGenerator<LogEntry> {
  for await (const found of batches(log, format)) {
    for (const entry of found) {
      if (options.cancelled.aborted) return;
      yield entry;
    }
  }
}

/** Not a stream of the handle's own, which would close it. */
async function* raw(handle: FileHandle): AsyncGenerator<Bytes> {
  for (let at = 0; ; ) {
    const piece = new Uint8Array(PIECE_BYTES);
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/** Of a compressed file. What is damaged in it ends it. */
async function* batches(log: OpenLog, format: LogFormat): AsyncGenerator<LogEntry[]> {
  const input = Readable.from(raw(log.handle));
  const gunzip = createGunzip();
  input.once("error", (cause) => gunzip.destroy(cause));
  input.pipe(gunzip);
  let held: Bytes = new Uint8Array(0);
  try {
    for await (const piece of gunzip as AsyncIterable<Bytes>) {
      const data = joined(held, piece);
      const { entries, used, damaged } = format.parse(data);
      held = data.slice(used);
      yield entries;
      if (damaged) return;
    }
  } catch {
    // Cut short or not gzip: what could be read was given.
  } finally {
    input.destroy();
    gunzip.destroy();
  }
}

/** Wakes on any change in the log's folder and when the container has ended. */
class Changes implements Disposable {
  readonly #watcher: FSWatcher;
  #dirty = true;
  #wake: (() => void) | null = null;
  ended = false;

  constructor(directory: string, options: ReadOptions) {
    this.#watcher = watch(directory, { persistent: false }, () => this.#notify());
    this.#watcher.on("error", () => this.#notify());
    void options.ended.then(() => {
      this.ended = true;
      this.#notify();
    });
    options.cancelled.onabort = () => this.#notify();
  }

  async changed(): Promise<void> {
    while (!this.#dirty) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#dirty = false;
  }

  #notify(): void {
    this.#dirty = true;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}

/** In which file the last `count` records begin, and where: at an offset, and after so many records more. */
async function findTail(
  logs: readonly OpenLog[],
  source: LogSource,
  count: number,
): Promise<{ log: number; skip: number; offset: number }> {
  let wanted = count;
  for (let index = logs.length - 1; index >= 0; index--) {
    const log = logs[index]!;
    if (wanted === 0) return { log: index + 1, skip: 0, offset: 0 };
    const back = log.compressed ? null : await scanBack(log.handle, source.format, wanted);
    if (back === null) {
      let records = 0;
      const found = log.compressed ? batches(log, source.format) : pieces(new PlainReader(log, source.format, 0));
      for await (const batch of found) records += batch.length;
      if (records >= wanted) return { log: index, skip: records - wanted, offset: 0 };
      wanted -= records;
    } else if (back.records === wanted) return { log: index, skip: 0, offset: back.offset };
    else wanted -= back.records;
  }
  return { log: 0, skip: 0, offset: 0 };
}

async function* pieces(reader: PlainReader): AsyncGenerator<LogEntry[]> {
  const { size } = await reader.log.handle.stat();
  for (let found = await reader.read(size); found !== null; found = await reader.read(size)) yield found;
}

/** Backwards over at most `wanted` records: how many there are, and where the first of them begins. Null when they
 *  cannot be found from the end. */
export async function scanBack(
  file: FileHandle,
  format: LogFormat,
  wanted: number,
): Promise<{ records: number; offset: number } | null> {
  let records = 0;
  let end = (await file.stat()).size;
  let length = BACK_BYTES;
  while (end > 0 && records < wanted) {
    const start = Math.max(0, end - length);
    const data = new Uint8Array(end - start);
    await file.read(data, 0, data.length, start);
    const first = data.length;
    let at = first;
    while (at > 0 && records < wanted) {
      const found = format.backwards(data, at, start === 0);
      if (found === "damaged") return null;
      if (found === "more") break;
      at = found.start;
      if (found.whole) records++;
    }
    if (start === 0 && at > 0 && records < wanted) return null;
    // A record longer than what was seen: more of it.
    length = at === first ? length * 2 : BACK_BYTES;
    end = start + at;
  }
  return { records, offset: end };
}
