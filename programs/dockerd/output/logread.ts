// Reading a json-file log with its rotated predecessors: all of it, or the last lines, or on and on. Following waits
// for inotify (fs.watch) and goes over rotations by inode, so that no entry is missed or given twice.

import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type LogEntry, parseEntry } from "./jsonfile.ts";

const PIECE_BYTES = 64 * 1024;
/** A line that is longer than this is no entry of ours; it is skipped. */
const MAX_ENTRY_BYTES = 1024 * 1024;
/** Rotated files that are looked for. */
const MAX_FILES = 1000;

export interface ReadOptions {
  /** Entries from the end; null for all. */
  tail: number | null;
  /** Goes on until `ended` resolves and the last entry was given. */
  follow: boolean;
  ended: Promise<unknown>;
  /** The reader is not wanted any more. */
  cancelled: { readonly aborted: boolean; onabort: (() => void) | null };
}

export async function* readLog(path: string, options: ReadOptions): AsyncGenerator<LogEntry> {
  using watcher = options.follow ? new Changes(dirname(path), options) : null;
  const files = await openFiles(path);
  try {
    let last: LineReader | null = null;
    const skipTo = options.tail === null ? null : await findTail(files, options.tail);
    for (const [index, file] of files.entries()) {
      const start = skipTo === null ? 0 : index < skipTo.file ? null : index === skipTo.file ? skipTo.offset : 0;
      last = new LineReader(file, start ?? (await file.stat()).size);
      if (start !== null) yield* entries(last, options);
    }
    if (watcher === null) return;
    yield* followFile({ path, files, last, watcher, options });
  } finally {
    for (const file of files) await file.close().catch(() => {});
  }
}

interface Following {
  path: string;
  /** Grows by the files that rotation brings; the caller closes them. */
  files: FileHandle[];
  last: LineReader | null;
  watcher: Changes;
  options: ReadOptions;
}

async function* followFile(following: Following): AsyncGenerator<LogEntry> {
  const { path, files, watcher, options } = following;
  let current = following.last;
  while (!options.cancelled.aborted) {
    const over = watcher.ended;
    if (current !== null) yield* entries(current, options);
    const next = await openSuccessors(path, current?.file ?? null);
    for (const file of next) {
      // What was written between the last read and the rotation belongs before the new file.
      if (current !== null) yield* entries(current, options);
      files.push(file);
      current = new LineReader(file, 0);
      yield* entries(current, options);
    }
    if (next.length > 0) continue;
    if (over) return;
    await watcher.changed();
  }
}

async function* entries(reader: LineReader, options: ReadOptions): AsyncGenerator<LogEntry> {
  for (;;) {
    const lines = await reader.read();
    if (lines === null) return;
    for (const line of lines) {
      if (options.cancelled.aborted) return;
      const entry = parseEntry(line);
      if (entry !== null) yield entry;
    }
  }
}

/** Whole lines of a file from an offset on; what has no newline yet is read again next time. */
class LineReader {
  readonly file: FileHandle;
  #offset: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(file: FileHandle, offset: number) {
    this.file = file;
    this.#offset = offset;
  }

  /** Null when there is nothing more at the moment. */
  async read(): Promise<Uint8Array[] | null> {
    const piece = new Uint8Array(PIECE_BYTES);
    const { bytesRead } = await this.file.read(piece, 0, piece.length, this.#offset);
    if (bytesRead === 0) return null;
    this.#offset += bytesRead;
    const data = piece.subarray(0, bytesRead);
    const lines: Uint8Array[] = [];
    let at = 0;
    for (let newline = data.indexOf(10); newline >= 0; newline = data.indexOf(10, at)) {
      lines.push(this.#complete(data.subarray(at, newline)));
      at = newline + 1;
    }
    if (at < data.length) this.#hold(data.subarray(at));
    return lines;
  }

  #hold(part: Uint8Array): void {
    if (this.#heldBytes + part.length > MAX_ENTRY_BYTES) return;
    this.#held.push(part);
    this.#heldBytes += part.length;
  }

  #complete(end: Uint8Array): Uint8Array {
    if (this.#heldBytes === 0) return end;
    const line = Buffer.concat([...this.#held, end]);
    this.#held = [];
    this.#heldBytes = 0;
    return line;
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

/** Oldest first: x.log.3, x.log.2, x.log.1, x.log. A rotation between two opens is noticed by inode and tried again. */
async function openFiles(path: string): Promise<FileHandle[]> {
  for (;;) {
    const files: FileHandle[] = [];
    const current = await open(path, "r").catch(() => null);
    if (current === null) return files;
    for (let number = 1; number < MAX_FILES; number++) {
      const older = await open(`${path}.${number}`, "r").catch(() => null);
      if (older === null) break;
      files.unshift(older);
    }
    files.push(current);
    const now = await stat(path).catch(() => null);
    if (now === null || now.ino === (await current.stat()).ino) return files;
    for (const file of files) await file.close();
  }
}

/** The files that came after this one, oldest first; none while it is still the newest. */
async function openSuccessors(path: string, file: FileHandle | null): Promise<FileHandle[]> {
  const files = await openFiles(path);
  if (file === null) return files;
  const { ino } = await file.stat();
  const inodes = await Promise.all(files.map(async (one) => (await one.stat()).ino));
  const at = inodes.indexOf(ino);
  for (const old of files.splice(0, at + 1)) await old.close();
  return files;
}

/** Where the last `count` lines begin. */
async function findTail(files: FileHandle[], count: number): Promise<{ file: number; offset: number }> {
  let wanted = count;
  const newest = files.length - 1;
  if (count === 0) return { file: newest, offset: newest < 0 ? 0 : (await files[newest]!.stat()).size };
  for (let index = newest; index >= 0; index--) {
    const found = await scanBack(files[index]!, wanted);
    if (found.offset !== null) return { file: index, offset: found.offset };
    wanted -= found.lines;
  }
  return { file: 0, offset: 0 };
}

async function scanBack(file: FileHandle, wanted: number): Promise<{ offset: number | null; lines: number }> {
  let end = (await file.stat()).size;
  let lines = 0;
  let first = true;
  const piece = new Uint8Array(PIECE_BYTES);
  while (end > 0) {
    const start = Math.max(0, end - PIECE_BYTES);
    const { bytesRead } = await file.read(piece, 0, end - start, start);
    for (let at = bytesRead - 1; at >= 0; at--) {
      if (piece[at] !== 10) continue;
      if (first && start + at === end - 1) {
        first = false; // the newline that ends the last line
        continue;
      }
      first = false;
      if (++lines === wanted) return { offset: start + at + 1, lines };
    }
    first = false;
    end = start;
  }
  const whole = (await file.stat()).size > 0 ? lines + 1 : 0;
  return { offset: whole === wanted ? 0 : null, lines: whole };
}
