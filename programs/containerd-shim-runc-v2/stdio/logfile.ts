// The files behind a json-file log: the current one and its rotated elders .1, .2 ... Appends whole objects or nothing.
// A failed write (a full disk) never stops the container: the lines are lost, counted and said once it works again.

import { messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_ftruncate, SYS_pread64 } from "../../../linux/numbers.ts";

export interface LogFileSettings {
  path: string;
  /** Bytes after which a file is rotated; it may be longer by one line. */
  maxSize: number;
  maxFiles: number;
  /** Told of trouble, in whole sentences. */
  warn: (sentence: string) => void;
}

const NEWLINE = 10;
const TAIL = 64 << 10;

export class LogFile {
  readonly #settings: LogFileSettings;
  #fd: fd.Fd;
  #size: number;
  #lost = 0;

  /** Opens or creates the file, mode 0640 as Docker has it. A tail that a crash tore is cut. */
  constructor(settings: LogFileSettings) {
    this.#settings = settings;
    this.#fd = openLog(settings.path, 0);
    this.#size = wholeLines(this.#fd.number);
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
      if (this.#lost > 0) this.#settings.warn(`writing works again, ${this.#lost} lines were lost`);
      this.#lost = 0;
    } catch (thrown) {
      const kept = bytes.lastIndexOf(NEWLINE, Math.max(written - 1, 0)) + 1;
      const whole = written === 0 ? 0 : kept;
      this.#cut(this.#size + whole);
      const missing = lines - count(bytes.subarray(0, whole));
      if (this.#lost === 0) this.#settings.warn(`${this.#settings.path}: ${messageOf(thrown)}: lines are being lost`);
      this.#lost += missing;
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
    const { path, maxFiles, warn } = this.#settings;
    try {
      for (let number = maxFiles - 1; number > 1; number--) renameIfThere(`${path}.${number - 1}`, `${path}.${number}`);
      if (maxFiles > 1) renameIfThere(path, `${path}.1`);
      const next = openLog(path, fd.O_TRUNC);
      this.#fd.close();
      this.#fd = next;
      this.#size = 0;
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

function count(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}
