// Moving bytes from a descriptor to a sink, one bounded chunk per turn of the loop, so that one busy container never
// keeps requests or other streams waiting. A sink that is full stops its source; nothing is buffered here.
//
//     descriptor ──readable──▶ read one chunk ──▶ sink.write ── true ──▶ wait for more
//                                                    └─ false ──▶ stopped ──resume()──▶ wait for more
//     end of file, or EIO of a terminal whose other side is closed ──▶ sink.end()

import { EPOLLIN } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { read } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { COPY_CHUNK, DRAIN_LIMIT } from "../limits.ts";

/** Bytes that a chunk has in front of it in its buffer, for whoever wants to put a header there. */
export const CHUNK_ROOM = 8;

export interface Sink {
  /** Takes the whole chunk (valid only during the call). False: stop reading until `resume` is called. */
  write(chunk: Uint8Array): boolean;
  /** Nothing more will come. Called once. */
  end(): void;
  /** Set by the source. */
  resume: () => void;
}

/** Reads chunks for a pump, into memory that is its own. */
export interface ChunkReader {
  /** Null when nothing is there now, empty at the end. Throws what the read throws. */
  read(source: number): Uint8Array | null;
  /** The chunk is dealt with. */
  done(): void;
  /** A chunk that an earlier shim had read and not finished, or null. */
  pending(): Uint8Array | null;
}

let shared: Uint8Array | null = null;

/** One chunk for all streams, because it is dealt with before the next is read. */
export const plainReader: ChunkReader = {
  read(source) {
    shared ??= new Uint8Array(CHUNK_ROOM + COPY_CHUNK);
    const got = read(source, shared.subarray(CHUNK_ROOM));
    return got === null ? null : shared.subarray(CHUNK_ROOM, CHUNK_ROOM + got);
  },
  done() {},
  pending: () => null,
};

export class Pump {
  readonly #loop: Loop;
  readonly #source: Fd;
  readonly #sink: Sink;
  readonly #reader: ChunkReader;
  #ended: (() => void)[] = [];
  #state: "held" | "reading" | "stopped" | "ended" = "held";
  #resumed: (() => void) | null = null;

  /** Owns the (non-blocking) descriptor and the sink's end. Nothing is read before `begin`. */
  constructor(loop: Loop, ends: { source: Fd; sink: Sink }, reader: ChunkReader = plainReader) {
    const { source, sink } = ends;
    this.#reader = reader;
    this.#loop = loop;
    this.#source = source;
    this.#sink = sink;
    sink.resume = () => this.#goOn();
  }

  /** Reads from now on. */
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

  /** As `begin`, for a stream that an earlier shim read: a FIFO that nobody has open any more never tells its end, so
   *  it is looked at once. */
  resume(): void {
    this.begin();
    this.#step();
  }

  /** Resolves at the end of the source. */
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

  /** Ends now, whatever is left unread. */
  close(): void {
    if (this.#state === "ended") return;
    if (this.#state === "reading") this.#loop.unwatch(this.#source.number);
    this.#state = "ended";
    this.#source.close();
    this.#sink.end();
    this.#wake();
    for (const resolve of this.#ended.splice(0)) resolve();
  }

  #watch(): void {
    this.#loop.watch(this.#source.number, EPOLLIN, () => void this.#step());
  }

  /** One chunk; null when nothing is there now. */
  #step(): number | null {
    let chunk: Uint8Array | null;
    try {
      chunk = this.#reader.read(this.#source.number);
    } catch {
      // EIO: the last process left the terminal. Any other failure of a pipe cannot be helped either.
      chunk = new Uint8Array(0);
    }
    if (chunk === null) return null;
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
