// Moving bytes from a descriptor to a sink, a few bounded chunks per turn of the loop, so that one busy container never
// keeps requests or other streams waiting. A sink that is full stops its source; nothing is buffered here. Chunks are
// small until one is full; from then on they are large, until output ceases for a moment.
//
//     descriptor ──readable──▶ read one chunk ──▶ sink.write ── true ──▶ wait for more
//                                                    └─ false ──▶ stopped ──resume()──▶ wait for more
//     end of file, or EIO of a terminal whose other side is closed ──▶ sink.end()

import { EPOLLIN } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { read } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { COPY_CHUNK, COPY_CHUNK_SMALL, COPY_TURN, DRAIN_LIMIT, RELAX_INTERVAL } from "../limits.ts";

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

/** The buffer of large chunks, for all pumps that are busy, and how many are. */
let shared: Uint8Array | null = null;
let busy = 0;

export class Pump {
  readonly #loop: Loop;
  readonly #source: Fd;
  readonly #sink: Sink;
  #ended: (() => void)[] = [];
  #state: "held" | "reading" | "stopped" | "ended" = "held";
  #resumed: (() => void) | null = null;
  /** While it is busy: looks whether it still is. */
  #relaxing: Disposable | null = null;
  #flows = false;

  /** Owns the (non-blocking) descriptor and the sink's end. Nothing is read before `begin`. */
  constructor(loop: Loop, source: Fd, sink: Sink) {
    this.#loop = loop;
    this.#source = source;
    this.#sink = sink;
    sink.resume = () => this.#resume();
  }

  /** Reads from now on. */
  begin(): void {
    if (this.#state !== "held") return;
    this.#state = "reading";
    this.#watch();
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
    const buffer = this.#relaxing !== null ? shared! : new Uint8Array(CHUNK_ROOM + COPY_CHUNK_SMALL);
    let got: number | null = 0;
    try {
      got = read(this.#source.number, buffer.subarray(CHUNK_ROOM));
    } catch {
      // EIO: the last process left the terminal. Any other failure of a pipe cannot be helped either.
    }
    if (got === null) return null;
    if (got >= COPY_CHUNK_SMALL) this.#work();
    if (got === 0) this.close();
    else if (!this.#sink.write(buffer.subarray(CHUNK_ROOM, CHUNK_ROOM + got)) && this.#state === "reading") {
      this.#state = "stopped";
      this.#loop.unwatch(this.#source.number);
    }
    return got;
  }

  /** Output flows: chunks are large for a while. */
  #work(): void {
    this.#flows = true;
    if (this.#relaxing !== null) return;
    busy++;
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
    this.#sink.relax?.();
  }

  #resume(): void {
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
