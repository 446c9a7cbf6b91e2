// The files behind a log: the current one and its rotated elders .1, .2 ..., which dockerd may have compressed to .1.gz
// ... Appends whole records or nothing. Nothing that goes wrong here stops the container: records that cannot be
// written are lost, counted, and said, when it begins and when writing works again.
//
//     append ─▶ [due: rotate] ─▶ write ─── failed: what is not a whole record is cut off again, the rest is counted
//     look (once a second) ─▶ deleted: a new file · truncated by somebody: its true size

import { messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { ENOENT, ENOSPC, errnoOf } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_ftruncate } from "../../../linux/numbers.ts";
import { LOG_LOOK_INTERVAL, RECOVERY_LIMIT } from "../limits.ts";
import type { Journal, LogPlace, Recovery } from "./journal.ts";
import type { RecordFormat } from "./records.ts";

export interface LogFileSettings {
  path: string;
  /** Bytes after which a file is rotated; it may be longer by one record. Infinity: never. */
  maxSize: number;
  maxFiles: number;
  format: RecordFormat;
  /** Told of trouble, in whole sentences. */
  warn: (sentence: string) => void;
  /** Told where the log stands, for a later shim. */
  journal: Journal;
}

export class LogFile {
  readonly #settings: LogFileSettings;
  #fd: fd.Fd;
  #size: number;
  #lost = 0;
  /** When it was looked at last, in nanoseconds since 1970. */
  #looked = 0n;
  /** A failure to rotate was said already. */
  #stuck = false;
  /** After a killed shim: so many records of the chunk that it had at hand are in the log. */
  readonly leaveOut: number;

  /** Opens or creates the file, mode 0640 as Docker has it. A tail that a crash tore is cut. */
  constructor(settings: LogFileSettings) {
    this.#settings = settings;
    this.#fd = openLog(settings.path, 0);
    const { size } = fd.statFd(this.#fd.number);
    this.#size = size === 0 ? 0 : settings.format.intact(this.#fd.number, size);
    if (this.#size < size) this.#cut(this.#size);
    const { journal } = settings;
    journal.sizeOf = () => this.#size;
    const left = journal.recover();
    if (left === null) journal.opened(this.#place());
    this.leaveOut = left === null ? 0 : this.#recover(left);
  }

  #recover(left: Recovery): number {
    const { path, journal, format } = this.#settings;
    let records = left.before;
    const place = this.#place();
    if (left.place.inode === place.inode) records += recordsOf(format, this.#fd.number, left.place.size);
    else {
      // Killed between renaming the old file and opening the new one, or just after it.
      using elder = fd.openIfThere(`${path}.1`, fd.O_RDONLY);
      if (elder !== null && fd.statFd(elder.number).inode === left.place.inode) {
        records += recordsOf(format, elder.number, left.place.size);
      }
      fd.unlinkIfThere(`${path}.next`);
    }
    return journal.recovered(place, records);
  }

  #place(): LogPlace {
    return { inode: fd.statFd(this.#fd.number).inode, size: this.#size };
  }

  /** Bytes until it is due for rotation. */
  get room(): number {
    const { maxSize } = this.#settings;
    return this.#size >= maxSize ? maxSize : maxSize - this.#size;
  }

  /** Whether somebody deleted or emptied the file. `now`: nanoseconds since 1970. */
  look(now: bigint): void {
    if (now - this.#looked < LOG_LOOK_INTERVAL && now >= this.#looked) return;
    this.#looked = now;
    const { links, size } = fd.statFd(this.#fd.number);
    if (size < this.#size) {
      this.#size = size;
      this.#settings.journal.moved(this.#place());
    }
    if (links > 0) return;
    try {
      this.#use(openLog(this.#settings.path, 0));
    } catch {
      // What is written still goes to the deleted one, as long as there can be no other.
    }
  }

  append(bytes: Uint8Array, records: number): void {
    if (this.#size >= this.#settings.maxSize) this.#rotate();
    let written = 0;
    try {
      while (written < bytes.length) written += fd.write(this.#fd.number, bytes.subarray(written)) ?? 0;
      this.#size += bytes.length;
      this.#settings.journal.appended(records);
      if (this.#lost > 0) this.#settings.warn(`${this.#settings.path}: writing works again, ${this.#lost} were lost`);
      this.#lost = 0;
    } catch (thrown) {
      const whole = this.#settings.format.whole(bytes, written);
      this.#cut(this.#size + whole.length);
      this.#size += whole.length;
      if (this.#lost === 0) this.#settings.warn(`${this.#settings.path}: ${messageOf(thrown)}: lines are being lost`);
      this.#lost += records - whole.records;
      this.#settings.journal.appended(records);
      this.#settings.journal.moved(this.#place());
    }
  }

  /** A rotated file was compressed by dockerd to `<path>.compressed`, which takes its place if it is still there. Only
   *  here, because nobody else may rename while this shim does. */
  replaceRotated(inode: bigint): boolean {
    const { path, maxFiles } = this.#settings;
    for (let number = 1; number < maxFiles; number++) {
      const plain = `${path}.${number}`;
      if (fd.statAt(fd.AT_FDCWD, plain, fd.AT_SYMLINK_NOFOLLOW)?.inode !== inode) continue;
      try {
        fd.rename(`${path}.compressed`, `${plain}.gz`);
        fd.unlink(plain);
        return true;
      } catch (thrown) {
        this.#settings.warn(`${plain} was compressed in vain: ${messageOf(thrown)}`);
        return false;
      }
    }
    fd.unlinkIfThere(`${path}.compressed`);
    return false;
  }

  close(): void {
    if (this.#lost > 0) this.#settings.warn(`${this.#settings.path}: ${this.#lost} lines were lost`);
    this.#fd.close();
  }

  #use(file: fd.Fd): void {
    this.#fd.close();
    this.#fd = file;
    this.#size = fd.statFd(file.number).size;
    this.#settings.journal.moved(this.#place());
  }

  #cut(size: number): void {
    const result = door().syscall(SYS_ftruncate, this.#fd.number, size);
    if (result < 0) this.#settings.warn(`${this.#settings.path}: a torn record cannot be cut: errno ${-result}`);
  }

  /** The new file is made first: without it nothing is moved. */
  #rotate(): void {
    const { path, warn } = this.#settings;
    // Somebody may have emptied it.
    const { size } = fd.statFd(this.#fd.number);
    this.#size = size;
    if (size < this.#settings.maxSize) return;
    try {
      const next = openLog(`${path}.next`, fd.O_TRUNC);
      // What is behind this place from now on is in the next file, even if this one is soon gone.
      this.#settings.journal.moved(this.#place());
      this.#shift();
      fd.rename(`${path}.next`, path);
      this.#use(next);
      this.#stuck = false;
    } catch (thrown) {
      // Its bound is promised: what it holds is given up for what comes. A full disk is another matter: what comes is
      // lost there, not what is kept.
      if (!this.#stuck) warn(`${path} could not be rotated: ${messageOf(thrown)}: its older lines are given up`);
      this.#stuck = true;
      if (errnoOf(thrown) !== ENOSPC && door().syscall(SYS_ftruncate, this.#fd.number, 0) >= 0) this.#size = 0;
      this.#settings.journal.moved(this.#place());
    }
  }

  /** path.3 ─▶ path.4, … path ─▶ path.1, each compressed or not; the oldest one goes. */
  #shift(): void {
    const { path, maxFiles } = this.#settings;
    for (let number = maxFiles - 1; number > 1; number--) {
      for (const end of ["", ".gz"]) move(`${path}.${number - 1}${end}`, `${path}.${number}${end}`);
    }
    if (maxFiles < 2) return;
    fd.unlinkIfThere(`${path}.1.gz`);
    move(path, `${path}.1`);
  }
}

/** How many records stand behind a place: of one chunk, and so never many. */
function recordsOf(format: RecordFormat, file: number, from: number): number {
  const size = Math.min(Math.max(fd.statFd(file).size - from, 0), RECOVERY_LIMIT);
  if (size === 0) return 0;
  const bytes = fd.readAt(file, from, size);
  return format.whole(bytes, bytes.length).records;
}

function openLog(path: string, more: number): fd.Fd {
  return fd.open(path, fd.O_RDWR | fd.O_CREAT | fd.O_APPEND | more, 0o640);
}

/** Without a source the target goes, too: it would be one too old. */
function move(from: string, to: string): void {
  try {
    fd.rename(from, to);
  } catch (thrown) {
    if (errnoOf(thrown) !== ENOENT) throw thrown;
    fd.unlinkIfThere(to);
  }
}
