// What a log's writer would take with it if it were killed, kept where its successor finds it: the chunk at hand and
// the unfinished lines lie in memory that is mapped from a file in the bundle: keeping them costs no system call.
//
//     look how much is there ─▶ ENTRY: stream, count ─▶ read into the file ─▶ objects into the log ─▶ ENTRY: nothing
//               a seal lies where the read will end ─┘ (broken: it has happened)
//
//     0        header: who, which of the two entries holds, clients; the entries; the seal
//     4096     the chunk, with CHUNK_ROOM in front of it
//     36864    unfinished lines, two places for each stream: the one that the entry in force names is not written to
//
// An entry is written where the other one is not, then made the one in force by one store. It says where the log stood
// before the chunk (inode, size), how many of the chunk's objects were in the log before that (a rotation in between),
// and what was held. So a successor counts the objects behind that point, makes the same objects of the same chunk
// again and leaves out so many: nothing is lost and nothing doubled, whichever instruction was the last.

import type { Bytes } from "../../../base/bytes.ts";
import { messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import * as fd from "../../../linux/fd.ts";
import { mapFile, reserve, unmap } from "../../../linux/memory.ts";
import { SYS_ftruncate, SYS_ioctl } from "../../../linux/numbers.ts";
import { randomBytes } from "../../../linux/process.ts";
import { COPY_CHUNK, LOG_PART } from "../limits.ts";
import type { HeldLine } from "./held.ts";
import type { StreamName } from "./jsonfile.ts";
import type { ChunkReader } from "./pump.ts";

const FIONREAD = 0x541b;
const MAGIC = 0x314a4c47; // "GLJ1"
const HEADER = 4096;
const HELD = HEADER + COPY_CHUNK;
const LENGTH = HELD + 4 * LOG_PART;
const SEAL_OFFSET = 512;
const SEAL_LENGTH = 16;
/** Words of the header. */
const W = { magic: 0, current: 1, clients: 2, entries: 16, entrySize: 16 } as const;
/** Words of an entry. */
const E = { flow: 0, count: 1, size: 2, inode: 4, before: 6, emptying: 7, held: 8 } as const;
const WORD = 2 ** 32;

/** What is at hand: nothing, a chunk of a stream, or the end of a stream. */
const FLOW = { none: 0, read: 1, end: 3 } as const;
const STREAMS: readonly StreamName[] = ["stdout", "stderr"];

export interface LogPlace {
  inode: bigint;
  size: number;
}

/** What a killed shim left: where the objects of the chunk at hand begin. */
export interface Recovery {
  place: LogPlace;
  /** Objects of the chunk that stand before the place. */
  before: number;
  /** The file was being emptied. */
  emptying: boolean;
}

export class Journal {
  readonly #path: string;
  readonly #warn: (sentence: string) => void;
  #file: fd.Fd | null = null;
  #bytes: Bytes | null = null;
  #mapped = false;
  #words = new Uint32Array(0);
  #flow = 0;
  #count = 0;
  #place: LogPlace = { inode: 0n, size: 0 };
  #before = 0;
  /** Objects appended since the entry in force. */
  #since = 0;
  readonly #lines: Record<StreamName, JournalLine>;
  #clients = 0;
  /** Places of unfinished lines that have their room, one bit each. */
  #reserved = 0;
  /** Set by the log's file: its size now. */
  sizeOf: () => number = () => 0;

  /** Makes nothing before there is something to keep. */
  constructor(path: string, warn: (sentence: string) => void) {
    this.#path = path;
    this.#warn = warn;
    const bytesOf = (at: number) => this.#room(at);
    this.#lines = { stdout: new JournalLine(bytesOf, 0), stderr: new JournalLine(bytesOf, 2) };
  }

  held(stream: StreamName): HeldLine {
    return this.#lines[stream];
  }

  /** Where a pump of the stream reads. */
  reader(stream: StreamName): ChunkReader {
    return {
      read: (source) => this.#read(stream, source),
      done: () => this.#done(),
      pending: () => (this.#flow === FLOW.read + STREAMS.indexOf(stream) ? this.#chunk(this.#count) : null),
    };
  }

  /** The stream is at its end: what is held goes into the log now, then `done` is called. */
  ending(stream: StreamName): void {
    if (this.#lines[stream].count > 0) this.#enter(FLOW.end + STREAMS.indexOf(stream), 0);
  }

  ended(): void {
    if (this.#flow !== FLOW.none) this.#done();
  }

  /** The log as it was opened, when there was nothing to recover. */
  opened(place: LogPlace): void {
    this.#place = place;
  }

  appended(objects: number): void {
    this.#since += objects;
  }

  /** From here on the log is there; also after objects were lost to a full disk. `emptying` comes before it is done. */
  moved(place: LogPlace, emptying = false): void {
    this.#before += this.#since;
    this.#since = 0;
    this.#place = place;
    if (this.#bytes !== null) this.#enter(this.#flow, this.#count, emptying);
  }

  /** How many clients watch: a successor waits for as many to come back. */
  set clients(count: number) {
    this.#clients = count;
    if (this.#bytes !== null) this.#words[W.clients] = count;
  }

  get clients(): number {
    return this.#clients;
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
    if (words[W.magic] !== MAGIC || flow > FLOW.end + 1 || count > COPY_CHUNK) {
      // Killed while it was made: then nothing was read yet. The next read makes it anew.
      if (this.#bytes !== null) unmap(this.#bytes);
      file.close();
      this.#bytes = null;
      return null;
    }
    this.#clients = words[W.clients]!;
    [this.#flow, this.#count] = [flow, count];
    const inode = BigInt(words[at + E.inode + 1]!) * BigInt(WORD) + BigInt(words[at + E.inode]!);
    this.#place = { size: words[at + E.size]! + words[at + E.size + 1]! * WORD, inode };
    this.#before = words[at + E.before]!;
    this.#lines.stdout.take(words[at + E.held]!, words[at + E.held + 1]!);
    this.#lines.stderr.take(words[at + E.held + 2]!, words[at + E.held + 3]!);
    // Not read: the bytes are in the FIFO still.
    if (this.#isRead() && this.#sealed()) this.#flow = FLOW.none;
    return { place: this.#place, before: this.#before, emptying: words[at + E.emptying] === 1 };
  }

  /** The log as it is now, with so many of the chunk's objects in it, which the writer is to leave out. */
  recovered(place: LogPlace, objects: number): number {
    if (this.#flow >= FLOW.end) {
      // The end of a stream comes again; what was held is held no longer if it is in the log.
      if (objects > 0) this.#lines[STREAMS[this.#flow - FLOW.end]!].clear();
      this.#flow = FLOW.none;
    }
    const leaveOut = this.#flow === FLOW.none ? 0 : objects;
    this.#place = place;
    this.#before = leaveOut;
    this.#enter(this.#flow, this.#flow === FLOW.none ? 0 : this.#count);
    return leaveOut;
  }

  /** The file goes with the container's end. */
  close(): void {
    if (this.#bytes !== null && this.#mapped) unmap(this.#bytes);
    this.#bytes = null;
    this.#file?.close();
    fd.unlinkIfThere(this.#path);
  }

  #read(stream: StreamName, source: number): Uint8Array | null {
    if (this.#bytes === null) this.#make();
    const available = new Int32Array(1);
    door().syscall(SYS_ioctl, source, FIONREAD, available);
    // Nothing is there: the end, or a byte that comes just now.
    const count = Math.min(Math.max(available[0]!, 1), COPY_CHUNK);
    this.#seal(count);
    this.#enter(FLOW.read + STREAMS.indexOf(stream), count);
    let got: number | null = 0;
    try {
      got = fd.read(source, this.#chunk(count));
    } catch {
      // As the end: a FIFO that cannot be read cannot be helped.
    }
    if (got === null || got === 0) this.#enter(FLOW.none, 0);
    else if (got < count) this.#enter(this.#flow, got);
    return got === null ? null : this.#chunk(got);
  }

  #done(): void {
    this.#place.size = this.sizeOf();
    this.#before = 0;
    this.#since = 0;
    this.#enter(FLOW.none, 0);
  }

  #enter(flow: number, count: number, emptying = false): void {
    [this.#flow, this.#count] = [flow, count];
    const words = this.#words;
    const next = words[W.current] === 0 ? 1 : 0;
    const at = W.entries + next * W.entrySize;
    words[at + E.flow] = flow;
    words[at + E.count] = count;
    words[at + E.size] = this.#place.size % WORD;
    words[at + E.size + 1] = Math.trunc(this.#place.size / WORD);
    words[at + E.inode] = Number(this.#place.inode & 0xffff_ffffn);
    words[at + E.inode + 1] = Number(this.#place.inode >> 32n);
    words[at + E.before] = this.#before;
    words[at + E.emptying] = emptying ? 1 : 0;
    const { stdout, stderr } = this.#lines;
    // While a chunk is at hand the entry names the lines as they were before it.
    if (flow === FLOW.none) {
      stdout.settle();
      stderr.settle();
    }
    words[at + E.held] = stdout.settledCount;
    words[at + E.held + 1] = stdout.settledPlace;
    words[at + E.held + 2] = stderr.settledCount;
    words[at + E.held + 3] = stderr.settledPlace;
    words[W.current] = next;
  }

  #isRead(): boolean {
    return this.#flow === FLOW.read || this.#flow === FLOW.read + 1;
  }

  #chunk(count: number): Uint8Array {
    return this.#bytes!.subarray(HEADER, HEADER + count);
  }

  #sealPlace(count: number): { chunk: Uint8Array; seal: Uint8Array } {
    const length = Math.min(count, SEAL_LENGTH);
    const end = HEADER + count;
    const sealEnd = SEAL_OFFSET + SEAL_LENGTH;
    return { chunk: this.#bytes!.subarray(end - length, end), seal: this.#bytes!.subarray(sealEnd - length, sealEnd) };
  }

  /** Bytes that no one can foresee, and no text has, where the read will end. */
  #seal(count: number): void {
    const { chunk, seal } = this.#sealPlace(count);
    chunk.set(seal);
  }

  #sealed(): boolean {
    const { chunk, seal } = this.#sealPlace(this.#count);
    return seal.every((byte, at) => byte === chunk[at]);
  }

  #use(bytes: Bytes, mapped = true): void {
    this.#bytes = bytes;
    this.#mapped = mapped;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, HEADER / 4);
  }

  #make(): void {
    try {
      this.#file = fd.open(this.#path, fd.O_RDWR | fd.O_CREAT | fd.O_TRUNC, 0o600);
      const file = this.#file.number;
      if (door().syscall(SYS_ftruncate, file, LENGTH) < 0) throw new Error("it cannot be made so long");
      reserve(file, 0, HELD);
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

  /** No room for a journal: the log is written all the same, and what a killed shim has at hand is lost with it. */
  #without(thrown: unknown): void {
    this.#warn(`output is not kept for a later shim: ${messageOf(thrown)}`);
    const bytes = new Uint8Array(LENGTH);
    if (this.#bytes !== null) {
      bytes.set(this.#bytes);
      if (this.#mapped) unmap(this.#bytes);
    }
    this.#file?.close();
    this.#file = null;
    fd.unlinkIfThere(this.#path);
    this.#use(bytes, false);
  }

  /** One of the four places of unfinished lines; the first use of each asks for its room. */
  #room(at: number): Uint8Array {
    if (this.#bytes === null) this.#make();
    const start = HELD + at * LOG_PART;
    if (this.#mapped && (this.#reserved & (1 << at)) === 0) {
      try {
        reserve(this.#file!.number, start, LOG_PART);
      } catch (thrown) {
        this.#without(thrown);
      }
      this.#reserved |= 1 << at;
    }
    return this.#bytes!.subarray(start, start + LOG_PART);
  }
}

/** An unfinished line in two places: what the entry in force names stays as it is until the next entry. */
class JournalLine implements HeldLine {
  readonly #room: (at: number) => Uint8Array;
  readonly #first: number;
  #place = 0;
  count = 0;
  settledPlace = 0;
  settledCount = 0;

  constructor(room: (at: number) => Uint8Array, first: number) {
    this.#room = room;
    this.#first = first;
  }

  bytes(): Uint8Array {
    return this.#room(this.#first + this.#place).subarray(0, this.count);
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    // Behind what is settled there is room; over it there is not.
    if (this.#place === this.settledPlace && this.count < this.settledCount) this.#place ^= 1;
    this.#room(this.#first + this.#place).set(bytes, this.count);
    this.count += bytes.length;
  }

  keepFrom(from: number): void {
    const whole = this.bytes();
    this.count -= from;
    if (this.#place !== this.settledPlace || this.settledCount === 0) {
      whole.copyWithin(0, from);
      return;
    }
    this.#place ^= 1;
    this.#room(this.#first + this.#place).set(whole.subarray(from));
  }

  clear(): void {
    this.count = 0;
  }

  settle(): void {
    this.settledPlace = this.#place;
    this.settledCount = this.count;
  }

  take(count: number, place: number): void {
    this.#place = place & 1;
    this.count = Math.min(count, LOG_PART);
    this.settle();
  }
}
