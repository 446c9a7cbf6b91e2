// What one attached client has not taken yet, in order, as whole frames:
//
//     push ─▶ block in memory ─▶ file without a name, beside the log (a ring) ─▶ late: what arrived when both were full
//                  │ head, took ─▶ the client                                      └─ full: the streams wait
//
// Each is filled only once the one before it is, and gone when it is empty: a client that has caught up costs nothing.
// Without a file (a full disk) what comes behind the block is late at once.

import { FRAME_HEADER } from "../../../api/task/attach.ts";
import { door } from "../../../linux/door.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_pread64, SYS_pwrite64 } from "../../../linux/numbers.ts";
import { ATTACH_QUEUE_LIMIT, ATTACH_SPILL_LIMIT } from "../limits.ts";

/** The first room of a block. */
const BLOCK_FIRST = 4 << 10;

export class ClientQueue {
  readonly #directory: string;
  /** Begins with a frame, of which the first #sent bytes are the client's already. */
  #block: Uint8Array | null = null;
  #filled = 0;
  #sent = 0;
  #file: fd.Fd | null = null;
  /** Bytes that went into the file and out of it since it was made; their places are modulo ATTACH_SPILL_LIMIT. */
  #written = 0;
  #read = 0;
  #late: Uint8Array[] = [];

  /** Where a file goes, should one be wanted. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get empty(): boolean {
    return this.#block === null;
  }

  /** More must not come before the client took something. */
  get full(): boolean {
    return this.#late.length > 0;
  }

  /** Copies a frame, of which `sent` bytes are with the client already (only into an empty queue). */
  push(frame: Uint8Array, sent = 0): void {
    if (this.#late.length === 0 && this.#file === null && this.#keep(frame)) this.#sent += sent;
    else if (this.#late.length > 0 || !this.#spill(frame)) this.#late.push(frame.slice());
  }

  /** What is to be sent next; null when there is nothing. */
  head(): Uint8Array | null {
    return this.#block === null ? null : this.#block.subarray(this.#sent, this.#filled);
  }

  /** The client took so many bytes of the head. */
  took(count: number): void {
    this.#sent += count;
    if (this.#sent < this.#filled) return;
    this.#drop();
    if (this.#file !== null) this.#unspill();
    while (this.#late.length > 0 && (this.#file === null ? this.#keep(this.#late[0]!) : this.#spill(this.#late[0]!))) {
      this.#late.shift();
    }
  }

  /** Forgets all but the rest of the frame under way, and puts this frame behind it. */
  cut(frame: Uint8Array): void {
    let end = 0;
    while (end < this.#sent) end += frameLength(this.#block!, end);
    this.#closeFile();
    this.#late = [];
    if (end === this.#sent) this.#drop();
    else this.#filled = end;
    this.#keep(frame);
  }

  close(): void {
    this.#drop();
    this.#closeFile();
    this.#late = [];
  }

  #drop(): void {
    this.#block = null;
    this.#filled = this.#sent = 0;
  }

  /** Into the block; false when it is full. */
  #keep(frame: Uint8Array): boolean {
    const filled = this.#filled + frame.length;
    if (this.#block !== null && filled > ATTACH_QUEUE_LIMIT) return false;
    const room = this.#block?.length ?? 0;
    if (filled > room) {
      const larger = new Uint8Array(Math.max(filled, Math.min(room * 2, ATTACH_QUEUE_LIMIT), BLOCK_FIRST));
      if (this.#block !== null) larger.set(this.#block.subarray(0, this.#filled));
      this.#block = larger;
    }
    this.#block!.set(frame, this.#filled);
    this.#filled = filled;
    return true;
  }

  /** Into the file; false when it is full, cannot be made or cannot grow. */
  #spill(frame: Uint8Array): boolean {
    if (this.#written - this.#read + frame.length > ATTACH_SPILL_LIMIT) return false;
    try {
      this.#file ??= nameless(this.#directory);
    } catch {
      return false;
    }
    for (let done = 0; done < frame.length; ) {
      const place = (this.#written + done) % ATTACH_SPILL_LIMIT;
      const part = frame.subarray(done, done + ATTACH_SPILL_LIMIT - place);
      const put = door().syscall(SYS_pwrite64, this.#file.number, part, part.length, place);
      if (put <= 0) {
        if (this.#written === this.#read) this.#closeFile();
        return false;
      }
      done += put;
    }
    this.#written += frame.length;
    return true;
  }

  /** Whole frames from the file become the block. */
  #unspill(): void {
    const length = Math.min(this.#written - this.#read, ATTACH_QUEUE_LIMIT);
    const block = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const place = (this.#read + done) % ATTACH_SPILL_LIMIT;
      const part = block.subarray(done, Math.min(length, done + ATTACH_SPILL_LIMIT - place));
      done += must("read", "spilled output", door().syscall(SYS_pread64, this.#file!.number, part, part.length, place));
    }
    let whole = 0;
    while (whole + FRAME_HEADER <= length && whole + frameLength(block, whole) <= length) {
      whole += frameLength(block, whole);
    }
    [this.#block, this.#filled] = [block, whole];
    this.#read += whole;
    if (this.#read === this.#written) this.#closeFile();
  }

  #closeFile(): void {
    this.#file?.close();
    this.#file = null;
    this.#written = this.#read = 0;
  }
}

function frameLength(bytes: Uint8Array, at: number): number {
  return FRAME_HEADER + bytes[at + 4]! * 2 ** 24 + (bytes[at + 5]! << 16) + (bytes[at + 6]! << 8) + bytes[at + 7]!;
}

/** A file that nobody else can open and that goes with its descriptor. */
function nameless(directory: string): fd.Fd {
  try {
    return fd.open(directory, fd.O_TMPFILE | fd.O_RDWR, 0o600);
  } catch {
    // A file system without O_TMPFILE.
    const path = `${directory}/.attach-${spills++}`;
    const file = fd.open(path, fd.O_RDWR | fd.O_CREAT | fd.O_EXCL, 0o600);
    fd.unlink(path);
    return file;
  }
}

let spills = 0;
