// Moving bytes from a descriptor to a sink, a few bounded chunks per turn of the loop, so that one busy container never
// keeps requests or other streams waiting. A sink that is full stops its source; nothing is buffered here. Chunks are
// small until one is full; from then on they are large, and so is the pipe, until output ceases for a moment: with a
// small one writer and reader would sleep and wake by turns, which costs more than all else.
//
//     descriptor ──readable──▶ read one chunk ──▶ sink.write ── true ──▶ wait for more
//                                                    └─ false ──▶ stopped ──resume()──▶ wait for more
//     end of file, or EIO of a terminal whose other side is closed ──▶ sink.end()

import { door } from "../../../linux/door.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { F_SETPIPE_SZ, read } from "../../../linux/fd.ts";
import { SYS_fcntl } from "../../../linux/numbers.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import {
  COPY_CHUNK,
  COPY_CHUNK_SMALL,
  COPY_TURN,
  DRAIN_LIMIT,
  PIPE_BUSY,
  PIPE_IDLE,
  RELAX_INTERVAL,
} from "../limits.ts";

/** Bytes that a chunk has in front of it in its buffer, for whoever wants to put a header there. */
export const CHUNK_ROOM = 8;

export interface Sink {
  /** Takes the whole chunk (valid only during the call). False: stop reading until `resume` is called. */
  write(chunk: Uint8Array): boolean;
  /** Nothing more will come. Called once. */
  end(): void;
  /** Much came, and now nothing does: what was kept for more can go. */
  relax?(): void;
  /** Set by the source. */
  resume: () => void;
}

/** A stream on its way: a pump's or a splice's. */
export interface Flow {
  /** Reads from now on. */
  begin(): void;
  /** Resolves at the end of the source. */
  ended(): Promise<void>;
  /** Ends now, whatever is left unread. */
  close(): void;
}

/** Reads chunks for a pump, into memory of its own. */
export interface ChunkReader {
  /** Null when nothing is there now, empty at the end. Throws what the read throws. */
  read(source: number, large: boolean): Uint8Array | null;
  /** The chunk is dealt with. */
  done(): void;
  /** A chunk that an earlier shim had read and not finished, or null. */
  pending(): Uint8Array | null;
}

/** The buffer of large chunks, for all pumps that are busy, and how many are. */
let shared: Uint8Array | null = null;
let busy = 0;

const PLAIN: ChunkReader = {
  read(source, large) {
    const buffer = large ? shared! : new Uint8Array(CHUNK_ROOM + COPY_CHUNK_SMALL);
    const got = read(source, buffer.subarray(CHUNK_ROOM));
    return got === null ? null : buffer.subarray(CHUNK_ROOM, CHUNK_ROOM + got);
  },
  done() {},
  pending: () => null,
};

export class Pump implements Flow {
  readonly #loop: Loop;
  readonly #source: Fd;
  readonly #foreign: boolean;
  readonly #sink: Sink;
  readonly #reader: ChunkReader;
  #ended: (() => void)[] = [];
  #state: "held" | "reading" | "stopped" | "ended" = "held";
  #resumed: (() => void) | null = null;
  /** While it is busy: looks whether it still is. */
  #relaxing: Disposable | null = null;
  #flows = false;

  /** Owns the (non-blocking) descriptor and the sink's end. Nothing is read before `begin`. `foreign`: the pipe is the
   *  client's, whose size is left alone: ctr 1.6 forgets CloseIO when all its input fits before Create is answered. */
  constructor(loop: Loop, ends: { source: Fd; sink: Sink; foreign?: boolean }, reader: ChunkReader | null = null) {
    const { source, sink } = ends;
    this.#foreign = ends.foreign === true;
    this.#reader = reader ?? PLAIN;
    this.#loop = loop;
    this.#source = source;
    this.#sink = sink;
    sink.resume = () => this.#goOn();
  }

  begin(): void {
    if (this.#state !== "held") return;
    this.#state = "reading";
    this.#watch();
  }

  /** What an earlier shim had at hand of this stream; before any stream of the process is read. */
  takePending(): void {
    const pending = this.#reader.pending();
    if (pending !== null) this.#take(pending);
  }

  ended(): Promise<void> {
    if (this.#state === "ended") return Promise.resolve();
    return new Promise((resolve) => this.#ended.push(resolve));
  }

  /** Reads what is there now, until nothing is left; waits where the sink asks to. */
  async drain(): Promise<void> {
    for (let total = 0; total < DRAIN_LIMIT && this.#state !== "ended" && this.#state !== "held"; ) {
      if (this.#state === "stopped") {
        await new Promise<void>((resolve) => {
          this.#resumed = resolve;
        });
        continue;
      }
      const got = this.#step();
      if (got === null) return;
      total += got;
    }
  }

  close(): void {
    if (this.#state === "ended") return;
    if (this.#state === "reading") this.#loop.unwatch(this.#source.number);
    this.#state = "ended";
    this.#source.close();
    this.#sink.end();
    // Else pump and sink hold each other until the next collection.
    this.#sink.resume = () => {};
    this.#relax();
    this.#wake();
    for (const resolve of this.#ended.splice(0)) resolve();
  }

  #watch(): void {
    this.#loop.watch(this.#source.number, EPOLLIN, () => this.#turn());
  }

  #turn(): void {
    for (let total = 0; total < COPY_TURN && this.#state === "reading"; ) {
      const got = this.#step();
      // Less than it would take: there is hardly more, and the loop tells when there is.
      if (got === null || got < COPY_CHUNK_SMALL) return;
      total += got;
    }
  }

  /** One chunk; null when nothing is there now. */
  #step(): number | null {
    let chunk: Uint8Array | null;
    try {
      chunk = this.#reader.read(this.#source.number, this.#relaxing !== null);
    } catch {
      // EIO: the last process left the terminal. Any other failure of a pipe cannot be helped either.
      chunk = new Uint8Array(0);
    }
    if (chunk === null) return null;
    if (chunk.length >= COPY_CHUNK_SMALL) this.#work();
    if (chunk.length === 0) this.close();
    else this.#take(chunk);
    return chunk.length;
  }

  #take(chunk: Uint8Array): void {
    const room = this.#sink.write(chunk);
    this.#reader.done();
    if (room || this.#state !== "reading") return;
    this.#state = "stopped";
    this.#loop.unwatch(this.#source.number);
  }

  /** Output flows: chunks are large for a while. */
  #work(): void {
    this.#flows = true;
    if (this.#relaxing !== null) return;
    busy++;
    this.#resizePipe(PIPE_BUSY);
    shared ??= new Uint8Array(CHUNK_ROOM + COPY_CHUNK);
    this.#relaxing = this.#loop.timer(RELAX_INTERVAL, () => this.#look());
  }

  #look(): void {
    if (this.#flows) this.#relaxing = this.#loop.timer(RELAX_INTERVAL, () => this.#look());
    else this.#relax();
    this.#flows = false;
  }

  #relax(): void {
    if (this.#relaxing === null) return;
    this.#relaxing[Symbol.dispose]();
    this.#relaxing = null;
    if (--busy === 0) shared = null;
    if (this.#state !== "ended") this.#resizePipe(PIPE_IDLE);
    this.#sink.relax?.();
  }

  /** Of no consequence if it is refused: for what is no pipe, beyond a user's share, or where it holds more. */
  #resizePipe(size: number): void {
    if (!this.#foreign) door().syscall(SYS_fcntl, this.#source.number, F_SETPIPE_SZ, size);
  }

  #goOn(): void {
    if (this.#state !== "stopped") return;
    this.#state = "reading";
    this.#watch();
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#resumed;
    this.#resumed = null;
    waiting?.();
  }
}
