// The files behind a json-file log: the current one and its rotated elders .1, .2 ... Appends whole objects or nothing.
// A failed write (a full disk) never stops the container: the lines are lost, counted and said once it works again.

import { messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_ftruncate, SYS_pread64 } from "../../../linux/numbers.ts";
import type { Journal, LogPlace, Recovery } from "./journal.ts";

export interface LogFileSettings {
  path: string;
  /** Bytes after which a file is rotated; it may be longer by one line. */
  maxSize: number;
  maxFiles: number;
  /** Told of trouble, in whole sentences. */
  warn: (sentence: string) => void;
  /** Told where the log stands, for a later shim. */
  journal: Journal;
}

const NEWLINE = 10;
/** More than the longest object. */
const TAIL = 128 << 10;

export class LogFile {
  readonly #settings: LogFileSettings;
  #fd: fd.Fd;
  #size: number;
  #lost = 0;
  /** After a killed shim: so many objects of the chunk that it had at hand are in the log. */
  readonly leaveOut: number;

  /** Opens or creates the file, mode 0640 as Docker has it. A tail that a crash tore is cut. */
  constructor(settings: LogFileSettings) {
    this.#settings = settings;
    this.#fd = openLog(settings.path, 0);
    this.#size = wholeLines(this.#fd.number);
    settings.journal.sizeOf = () => this.#size;
    const left = settings.journal.recover();
    if (left === null) settings.journal.opened(this.#place());
    this.leaveOut = left === null ? 0 : this.#recover(left);
  }

  #recover(left: Recovery): number {
    const { path, journal } = this.#settings;
    let objects = left.before;
    if (left.place.inode === this.#place().inode) {
      // Everything in a file that was being emptied was there before.
      if (left.emptying) this.#cut(0);
      else objects += newlines(this.#fd.number, left.place.size);
    } else {
      // Killed between renaming the old file and opening this one, or just after it.
      using elder = fd.openIfThere(`${path}.1`, fd.O_RDONLY);
      if (elder !== null && fd.statFd(elder.number).inode === left.place.inode) {
        objects += newlines(elder.number, left.place.size);
      }
    }
    return journal.recovered(this.#place(), objects);
  }

  #place(): LogPlace {
    return { inode: fd.statFd(this.#fd.number).inode, size: this.#size };
  }

  /** Whether the file would be due for rotation with so many more bytes. */
  isFull(more: number): boolean {
    return this.#size + more >= this.#settings.maxSize;
  }

  append(bytes: Uint8Array, lines: number): void {
    if (this.isFull(0)) this.#rotate();
    let written = 0;
    try {
      while (written < bytes.length) written += fd.write(this.#fd.number, bytes.subarray(written)) ?? 0;
      this.#size += bytes.length;
      this.#settings.journal.appended(lines);
      if (this.#lost > 0) this.#settings.warn(`writing works again, ${this.#lost} lines were lost`);
      this.#lost = 0;
    } catch (thrown) {
      const kept = bytes.lastIndexOf(NEWLINE, Math.max(written - 1, 0)) + 1;
      const whole = written === 0 ? 0 : kept;
      this.#cut(this.#size + whole);
      const missing = lines - count(bytes.subarray(0, whole));
      if (this.#lost === 0) this.#settings.warn(`${this.#settings.path}: ${messageOf(thrown)}: lines are being lost`);
      this.#lost += missing;
      this.#settings.journal.appended(lines);
      this.#settings.journal.moved(this.#place());
    }
  }

  close(): void {
    if (this.#lost > 0) this.#settings.warn(`${this.#settings.path}: ${this.#lost} lines were lost`);
    this.#fd.close();
  }

  #cut(size: number): void {
    if (door().syscall(SYS_ftruncate, this.#fd.number, size) >= 0) this.#size = size;
  }

  /** path.3 ─▶ path.4, … path ─▶ path.1; with one file only it is emptied. */
  #rotate(): void {
    const { path, maxFiles, warn, journal } = this.#settings;
    try {
      for (let number = maxFiles - 1; number > 1; number--) renameIfThere(`${path}.${number - 1}`, `${path}.${number}`);
      if (maxFiles > 1) renameIfThere(path, `${path}.1`);
      else journal.moved(this.#place(), true);
      const next = openLog(path, fd.O_TRUNC);
      this.#fd.close();
      this.#fd = next;
      this.#size = 0;
      journal.moved(this.#place());
    } catch (thrown) {
      warn(`${path} could not be rotated: ${messageOf(thrown)}`);
    }
  }
}

function openLog(path: string, more: number): fd.Fd {
  return fd.open(path, fd.O_RDWR | fd.O_CREAT | fd.O_APPEND | more, 0o640);
}

function renameIfThere(from: string, to: string): void {
  if (fd.statAt(fd.AT_FDCWD, from, fd.AT_SYMLINK_NOFOLLOW) !== null) fd.rename(from, to);
}

/** The size up to the last newline, to which the file is cut. */
function wholeLines(file: number): number {
  const { size } = fd.statFd(file);
  const start = Math.max(0, size - TAIL);
  if (size === 0) return 0;
  const tail = new Uint8Array(size - start);
  const got = must("read", `fd ${file}`, door().syscall(SYS_pread64, file, tail, tail.length, start));
  const end = start + tail.lastIndexOf(NEWLINE, got - 1) + 1;
  if (end < size && end > start) must("ftruncate", `fd ${file}`, door().syscall(SYS_ftruncate, file, end));
  return end < size && end > start ? end : size;
}

/** Newlines of a file from an offset on: of what one chunk can have become. */
function newlines(file: number, from: number): number {
  const part = new Uint8Array(TAIL);
  let lines = 0;
  for (let at = from; ; ) {
    const got = must("read", `fd ${file}`, door().syscall(SYS_pread64, file, part, part.length, at));
    if (got === 0) return lines;
    lines += count(part.subarray(0, got));
    at += got;
  }
}

function count(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}
