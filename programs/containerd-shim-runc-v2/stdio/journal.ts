// What the writer of a log would take with it if it were killed, kept where its successor finds it: the chunk at hand
// lies in memory that is mapped from a file in the bundle (it is read into there), and so do copies of the unfinished
// lines. Keeping them costs no system call.
//
//     look how much is there ─▶ ENTRY: stream, count ─▶ read into the file ─▶ records into the log ─▶ ENTRY: nothing
//               a seal lies where the read will end ─┘ (broken: it has happened)
//
//     0        head: which of the two entries holds, clients; the entries; the seal
//     1024     the chunk, with CHUNK_ROOM in front of it; a small one shares the head's page
//     69632    unfinished lines, two places for each stream: the one that the entry in force names is not written to
//
// An entry is written where the other one is not, then made the one in force by one store. It says where the log stood
// before the chunk (inode, size), how many of the chunk's records were in the log before that (in a file rotated away),
// how much the clients were given before, and what was unfinished. So a successor counts the records behind that point,
// makes the same records of the same chunk again and leaves out so many: nothing is lost and nothing doubled, whichever
// instruction was the last.

import type { Places } from "../../../api/task/attach.ts";
import type { Bytes } from "../../../base/bytes.ts";
import { messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import * as fd from "../../../linux/fd.ts";
import { giveBack, mapFile, reserve, unmap } from "../../../linux/memory.ts";
import { SYS_ftruncate } from "../../../linux/numbers.ts";
import { randomBytes } from "../../../linux/process.ts";
import { COPY_CHUNK, COPY_CHUNK_SMALL, LOG_PART } from "../limits.ts";
import type { Held } from "./lines.ts";
import type { ChunkReader } from "./pump.ts";
import type { StreamName } from "./records.ts";

const MAGIC = 0x334a4c47; // "GLJ3"
const PAGE = 4096;
const SEAL_OFFSET = 512;
const SEAL_LENGTH = 16;
const SEAL_END = SEAL_OFFSET + SEAL_LENGTH;
const CHUNK = 1024;
const HELD = 17 * PAGE;
/** Bytes of an unfinished line and, before it, of which line it is the rest: parts sent, time, id. */
const HELD_HEAD = 128;
const HELD_ID = 16;
/** Hexadecimal digits of a line's id. */
const ID_LENGTH = 64;
const HELD_PLACE = HELD_HEAD + LOG_PART;
const LENGTH = HELD + 4 * HELD_PLACE;
/** Words of the head. */
const W = { magic: 0, current: 1, clients: 2, entries: 16, entrySize: 16 } as const;
/** Words of an entry; `held`: for each stream 0 or 1 + its place, and the bytes there; `places`: of stdout and stderr,
 *  before the chunk. */
const E = { flow: 0, count: 1, size: 2, inode: 4, before: 6, held: 7, places: 11 } as const;
const WORD = 2 ** 32;

/** What is at hand: nothing, a chunk of a stream, or the end of a stream. */
const FLOW = { none: 0, read: 1, end: 3 } as const;
const STREAMS: readonly StreamName[] = ["stdout", "stderr"];

export interface LogPlace {
  inode: bigint;
  size: number;
}

/** What a killed shim left: where the records of the chunk at hand begin. */
export interface Recovery {
  place: LogPlace;
  /** Records of the chunk that stand before the place. */
  before: number;
}

export class Journal {
  readonly #path: string;
  readonly #warn: (sentence: string) => void;
  #file: fd.Fd | null = null;
  #bytes: Bytes | null = null;
  #words = new Uint32Array(0);
  #flow = 0;
  #count = 0;
  #place: LogPlace = { inode: 0n, size: 0 };
  #before = 0;
  /** Records appended since the entry in force. */
  #since = 0;
  /** As an entry has them. */
  #held = [0, 0, 0, 0];
  #clients = 0;
  /** Both entries tell the same of where things stand, so a chunk at hand is a store of two words and the switch. */
  #alike = false;
  /** Bytes of each place of unfinished lines that have their room. */
  readonly #rooms = [0, 0, 0, 0];
  /** The large chunk has its room. */
  #large = false;
  /** How much of each stream the clients were given, counted by who gives it. An entry has them as they are before the
   *  chunk at hand. */
  readonly places: Places = { stdout: 0, stderr: 0 };
  /** It goes on where another shim's ended: then what clients say of places is to be believed. */
  continues = false;
  /** Set by the log's file: its size now. */
  sizeOf: () => number = () => 0;
  /** Set by the log's writer: what is unfinished now. */
  heldOf: (stream: StreamName) => Held | null = () => null;

  /** Makes nothing before there is something to keep. */
  constructor(path: string, warn: (sentence: string) => void) {
    this.#path = path;
    this.#warn = warn;
  }

  /** Where a pump of the stream reads. */
  reader(stream: StreamName): ChunkReader {
    const at = STREAMS.indexOf(stream);
    return {
      read: (source, large) => this.#read(at, source, large ? COPY_CHUNK : COPY_CHUNK_SMALL),
      done: () => this.#done(at),
      pending: () => {
        return this.#flow === FLOW.read + at ? this.#chunk(this.#count) : null;
      },
    };
  }

  /** The stream is at its end: what is unfinished goes into the log now, then `ended` is called. */
  ending(stream: StreamName): void {
    if (this.#bytes !== null && this.heldOf(stream) !== null) this.#enter(FLOW.end + STREAMS.indexOf(stream), 0);
  }

  ended(): void {
    if (this.#flow >= FLOW.end) this.#done(this.#flow - FLOW.end);
  }

  /** The log as it is before anything is written, when there was nothing to recover; a file that others write to, too,
   *  before each read. */
  opened(place: LogPlace): void {
    this.#place = place;
    this.#alike = false;
  }

  appended(records: number): void {
    this.#since += records;
  }

  /** From here on the log is there; also after records were lost to a full disk. */
  moved(place: LogPlace): void {
    this.#before += this.#since;
    this.#since = 0;
    this.#place = place;
    this.#alike = false;
    if (this.#bytes !== null) this.#enter(this.#flow, this.#count);
  }

  /** How many clients watch: a successor waits for as many to come back. */
  set clients(count: number) {
    this.#clients = count;
    if (this.#bytes === null && count > 0) this.#make();
    if (this.#bytes !== null) this.#words[W.clients] = count;
  }

  get clients(): number {
    return this.#clients;
  }

  /** Nothing flows at the moment: the room for large chunks is given back. */
  relax(): void {
    if (!this.#large || this.#file === null || this.#flow !== FLOW.none) return;
    giveBack(this.#file.number, PAGE, HELD - PAGE);
    this.#large = false;
  }

  /** Takes over what a killed shim left; null when there is nothing. */
  recover(): Recovery | null {
    const file = fd.openIfThere(this.#path, fd.O_RDWR);
    if (file === null) return null;
    this.#file = file;
    if (fd.statFd(file.number).size === LENGTH) this.#use(mapFile(file.number, LENGTH));
    const words = this.#words;
    const at = W.entries + (words[W.current]! & 1) * W.entrySize;
    const [flow, count] = [words[at + E.flow]!, words[at + E.count]!];
    const held = [...words.subarray(at + E.held, at + E.held + 4)];
    if (words[W.magic] !== MAGIC || flow > FLOW.end + 1 || count > COPY_CHUNK || !held.every(isHeld)) {
      // Killed while it was made: then nothing was read yet. The next read makes it anew.
      this.#drop();
      return null;
    }
    this.#clients = words[W.clients]!;
    [this.#flow, this.#count, this.#held] = [flow, count, held];
    const inode = BigInt(words[at + E.inode + 1]!) * BigInt(WORD) + BigInt(words[at + E.inode]!);
    this.#place = { size: number(words, at + E.size), inode };
    this.#before = words[at + E.before]!;
    this.places.stdout = number(words, at + E.places);
    this.places.stderr = number(words, at + E.places + 2);
    this.continues = true;
    // Not read: the bytes are in the FIFO still.
    if ((flow === FLOW.read || flow === FLOW.read + 1) && this.#sealed()) this.#flow = FLOW.none;
    return { place: this.#place, before: this.#before };
  }

  /** The log as it is now, with so many of the chunk's records in it; how many of them are to be left out. */
  recovered(place: LogPlace, records: number): number {
    if (this.#flow >= FLOW.end) {
      // The end of a stream comes again; what was unfinished is not if it is in the log.
      if (records > 0) this.#held[2 * (this.#flow - FLOW.end)] = 0;
      this.#flow = FLOW.none;
    }
    const leaveOut = this.#flow === FLOW.none ? 0 : records;
    this.#place = place;
    this.#before = leaveOut;
    this.#alike = false;
    this.#enter(this.#flow, this.#flow === FLOW.none ? 0 : this.#count);
    return leaveOut;
  }

  /** The lines that were unfinished. */
  lines(): Record<StreamName, Held | null> {
    return { stdout: this.#line(0), stderr: this.#line(1) };
  }

  /** The file goes with the container's end. */
  close(): void {
    this.#drop();
    fd.unlinkIfThere(this.#path);
  }

  #read(stream: number, source: number, limit: number): Uint8Array | null {
    if (this.#bytes === null) this.#make();
    // Nothing is there: the end, or a byte that comes just now.
    const count = Math.min(Math.max(fd.unread(source), 1), this.#room(limit));
    this.#seal(count);
    this.#enter(FLOW.read + stream, count);
    const chunk = this.#chunk(count);
    let got: number | null = 0;
    try {
      got = fd.read(source, chunk);
    } catch {
      // As the end: a FIFO that cannot be read cannot be helped.
    }
    if (got === count) return chunk;
    this.#enter(got === null || got === 0 ? FLOW.none : this.#flow, got ?? 0);
    return got === null ? null : chunk.subarray(0, got);
  }

  #done(stream: number): void {
    if (this.#bytes === null) return;
    this.#keep(stream);
    this.#place.size = this.sizeOf();
    this.#before = 0;
    this.#since = 0;
    this.#alike = false;
    this.#enter(FLOW.none, 0);
    const [one, other] = [W.entries, W.entries + W.entrySize];
    if (this.#words[W.current] === 0) this.#words.copyWithin(other, one, other);
    else this.#words.copyWithin(one, other, other + W.entrySize);
    this.#alike = true;
  }

  /** Copies the stream's unfinished line to the place that the entry in force does not name. */
  #keep(stream: number): void {
    const line = this.heldOf(STREAMS[stream]!);
    if (line === null) {
      this.#held[2 * stream] = 0;
      return;
    }
    const place = this.#held[2 * stream] === 1 ? 2 : 1;
    const at = 2 * stream + place - 1;
    const start = HELD + at * HELD_PLACE;
    if (HELD_HEAD + line.count > this.#rooms[at]!) {
      const length = Math.min(HELD_PLACE, Math.ceil((HELD_HEAD + line.count) / PAGE) * PAGE);
      if (!this.#reserve(start, length)) return;
      this.#rooms[at] = length;
    }
    const bytes = this.#bytes!;
    const head = new DataView(bytes.buffer, bytes.byteOffset + start, HELD_HEAD);
    head.setUint32(0, line.parts?.sent ?? 0, true);
    head.setBigUint64(8, line.parts?.time ?? 0n, true);
    if (line.parts !== null) bytes.set(door().encode(line.parts.id), start + HELD_ID);
    bytes.set(line.bytes.subarray(0, line.count), start + HELD_HEAD);
    this.#held[2 * stream] = place;
    this.#held[2 * stream + 1] = line.count;
  }

  #line(stream: number): Held | null {
    const [place, count] = [this.#held[2 * stream]!, this.#held[2 * stream + 1]!];
    if (place === 0 || this.#bytes === null) return null;
    const start = HELD + (2 * stream + place - 1) * HELD_PLACE;
    const bytes = this.#bytes;
    const head = new DataView(bytes.buffer, bytes.byteOffset + start, HELD_HEAD);
    const sent = head.getUint32(0, true);
    const id = door().decode(bytes, start + HELD_ID, start + HELD_ID + ID_LENGTH);
    const parts = sent === 0 ? null : { id, sent, time: head.getBigUint64(8, true) };
    return { bytes: bytes.slice(start + HELD_HEAD, start + HELD_HEAD + count), count, parts };
  }

  #enter(flow: number, count: number): void {
    this.#flow = flow;
    this.#count = count;
    const words = this.#words;
    const next = words[W.current] === 0 ? 1 : 0;
    const at = W.entries + next * W.entrySize;
    words[at + E.flow] = flow;
    words[at + E.count] = count;
    if (!this.#alike) this.#tell(at);
    words[W.current] = next;
  }

  /** Where things stand, into the entry at this word. */
  #tell(at: number): void {
    const words = this.#words;
    setNumber(words, at + E.size, this.#place.size);
    words[at + E.inode] = Number(this.#place.inode & 0xffff_ffffn);
    words[at + E.inode + 1] = Number(this.#place.inode >> 32n);
    words[at + E.before] = this.#before;
    words.set(this.#held, at + E.held);
    setNumber(words, at + E.places, this.places.stdout);
    setNumber(words, at + E.places + 2, this.places.stderr);
  }

  #chunk(count: number): Uint8Array {
    return this.#bytes!.subarray(CHUNK, CHUNK + count);
  }

  /** Where the read will end lie bytes that no one can foresee, and no text has. */
  #seal(count: number): void {
    const length = Math.min(count, SEAL_LENGTH);
    this.#bytes!.copyWithin(CHUNK + count - length, SEAL_END - length, SEAL_END);
  }

  #sealed(): boolean {
    const end = CHUNK + this.#count;
    const length = Math.min(this.#count, SEAL_LENGTH);
    const seal = this.#bytes!.subarray(SEAL_END - length, SEAL_END);
    return seal.every((byte, at) => byte === this.#bytes![end - length + at]);
  }

  #use(bytes: Bytes): void {
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, CHUNK / 4);
  }

  #make(): void {
    try {
      this.#file = fd.open(this.#path, fd.O_RDWR | fd.O_CREAT | fd.O_TRUNC, 0o600);
      const file = this.#file.number;
      if (door().syscall(SYS_ftruncate, file, LENGTH) < 0) throw new Error("it cannot be made so long");
      reserve(file, 0, PAGE);
      this.#use(mapFile(file, LENGTH));
    } catch (thrown) {
      this.#without(thrown);
    }
    const seal = randomBytes(SEAL_LENGTH).map((byte) => byte | 0x80);
    seal[SEAL_LENGTH - 1] = 0xff;
    this.#bytes!.set(seal, SEAL_OFFSET);
    this.#words[W.clients] = this.#clients;
    this.#enter(FLOW.none, 0);
    this.#words[W.magic] = MAGIC;
  }

  /** How long a chunk may be: storing into pages that the file system cannot give would end the shim. */
  #room(limit: number): number {
    if (limit <= COPY_CHUNK_SMALL || this.#large) return limit;
    this.#large = this.#reserve(PAGE, HELD - PAGE);
    return this.#large ? limit : COPY_CHUNK_SMALL;
  }

  #reserve(from: number, length: number): boolean {
    if (this.#file === null) return true;
    try {
      reserve(this.#file.number, from, length);
      return true;
    } catch (thrown) {
      this.#warn(`output is not kept for a later shim: ${messageOf(thrown)}`);
      return false;
    }
  }

  /** No room for a journal: the log is written all the same, and what a killed shim has at hand is lost with it. */
  #without(thrown: unknown): void {
    this.#warn(`output is not kept for a later shim: ${messageOf(thrown)}`);
    this.#file?.close();
    this.#file = null;
    fd.unlinkIfThere(this.#path);
    this.#use(new Uint8Array(LENGTH));
  }

  #drop(): void {
    if (this.#bytes !== null && this.#file !== null) unmap(this.#bytes);
    this.#bytes = null;
    this.#words = new Uint32Array(0);
    this.#file?.close();
    this.#file = null;
  }
}

/** Of two words, the lower one first. */
function number(words: Uint32Array, at: number): number {
  return words[at]! + words[at + 1]! * WORD;
}

function setNumber(words: Uint32Array, at: number, value: number): void {
  words[at] = value % WORD;
  words[at + 1] = Math.trunc(value / WORD);
}

function isHeld(word: number, at: number): boolean {
  return word <= (at % 2 === 0 ? 2 : LOG_PART);
}
