// Compressing the rotated files of one log, where its options ask for it: looked for every now and then (inotify would
// wake the daemon for each line that is written), one file at a time, the oldest first. The file that is written never
// is.
//
//     <log>.<n> ─▶ <log>.compressed ─▶ [whoever renames this log's files] ─▶ <log>.<n>.gz

import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { LogFormat } from "./entry.ts";
import { timeText } from "./entry.ts";
import { compressFile } from "./gzip.ts";
import { scanBack } from "./logread.ts";

/** Milliseconds between two looks. */
const LOOK_MS = 1000;

export interface CompressorSettings {
  path: string;
  format: LogFormat;
  /** Puts `<path>.compressed` in the place of the file with this inode. */
  replace: (inode: number) => Promise<unknown>;
  warn: (sentence: string) => void;
}

export class Compressor {
  readonly #settings: CompressorSettings;
  #looking: NodeJS.Timeout | null = null;
  #working: Promise<void> = Promise.resolve();
  #due = false;

  constructor(settings: CompressorSettings) {
    this.#settings = settings;
  }

  /** What is there now, and what comes. */
  watch(): void {
    this.#looking ??= setInterval(() => this.#look(), LOOK_MS).unref();
    this.#look();
  }

  /** Nothing comes any more; what was rotated by now is still compressed. */
  unwatch(): void {
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#looking = null;
    this.#look();
  }

  #look(): void {
    // A rotation makes this one, whatever became of the others.
    if (this.#due || !existsSync(`${this.#settings.path}.1`)) return;
    this.#due = true;
    this.#working = this.#working
      .then(() => this.#all())
      .catch((thrown) => {
        // A container that is being removed takes its log with it.
        if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return;
        this.#settings.warn(`compressing ${this.#settings.path}: ${(thrown as Error).message}`);
        rmSync(`${this.#settings.path}.compressed`, { force: true });
      });
  }

  /** Null when all rotated files are compressed, and when the folder is gone. */
  #oldest(): string | null {
    try {
      return oldestPlain(this.#settings.path);
    } catch {
      return null;
    }
  }

  async #all(): Promise<void> {
    this.#due = false;
    const { path, format, replace } = this.#settings;
    const tried = new Set<number>();
    for (let plain = this.#oldest(); plain !== null; plain = this.#oldest()) {
      const file = await open(plain, "r").catch(() => null);
      // Rotated on just now.
      if (file === null) continue;
      try {
        const { ino, size } = await file.stat();
        if (tried.has(ino)) return;
        tried.add(ino);
        const last = await scanBack(file, format, 1);
        const data = new Uint8Array(last === null ? 0 : size - last.offset);
        await file.read(data, 0, data.length, size - data.length);
        const entry = format.parse(data).entries.at(-1);
        const lastTime = entry === undefined ? null : timeText(entry);
        await compressFile(`/proc/self/fd/${file.fd}`, `${path}.compressed`, { lastTime, inode: ino });
        await replace(ino);
      } finally {
        await file.close();
      }
    }
  }
}

/** Null when all rotated files are compressed. */
function oldestPlain(path: string): string | null {
  const prefix = `${basename(path)}.`;
  let oldest = 0;
  for (const name of readdirSync(dirname(path))) {
    const end = name.startsWith(prefix) ? name.slice(prefix.length) : "";
    if (/^\d{1,6}$/.test(end)) oldest = Math.max(oldest, Number(end));
  }
  const found = oldest === 0 ? null : `${path}.${oldest}`;
  return found === null || statSync(found, { throwIfNoEntry: false }) === undefined ? null : found;
}
