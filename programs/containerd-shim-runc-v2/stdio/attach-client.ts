// One client of the attach socket.
//
//     connected ──frame 8──▶ subscribed ──▶ finishing (the queue goes out, then the end) ──▶ gone
//         └──────────────── cut: error frame ──────▶ finishing
//
// Its own half-close means that it sends no more stdin; only a full close or an error ends it.

import {
  ATTACH_FRAME_LIMIT,
  attachFrame,
  decodePlaces,
  encodePlaces,
  FRAME_CLOSE_STDIN,
  FRAME_COMPRESSED,
  FRAME_END,
  FRAME_ERROR,
  FRAME_HEADER,
  FRAME_REPLACED,
  FRAME_STDIN,
  FRAME_SUBSCRIBE,
  FRAME_SUBSCRIBED,
  PLACES_LENGTH,
  type Places,
} from "../../../api/task/attach.ts";
import { encodeUtf8 } from "../../../base/bytes.ts";
import { messageOf } from "../../../base/errors.ts";
import { EPOLLIN, EPOLLOUT } from "../../../linux/epoll.ts";
import { type Fd, read, write } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { ATTACH_FAREWELL, ATTACH_LINGER, ATTACH_STALL_TIMEOUT, ATTACH_TURN } from "../limits.ts";
import { ClientQueue } from "./client-queue.ts";
import type { Journal } from "./journal.ts";
import type { StreamName } from "./records.ts";
import type { StdinWriter } from "./stdin.ts";

const READ_SIZE = 4 << 10;

export interface ClientOwner {
  /** On a disk, for what a slow client has not read yet. */
  spillDirectory: string;
  stdin: StdinWriter | null;
  warn: (sentence: string) => void;
  /** A rotated file was compressed; whether that took its place. */
  compressed: (inode: bigint) => boolean;
  /** Knows how far the output is. */
  journal: Journal;
  /** Whether the process's output is at its end already. */
  ended: () => boolean;
  /** Room was made in a full queue. */
  progress: () => void;
  subscribed: () => void;
  gone: () => void;
}

export class AttachClient {
  readonly #loop: Loop;
  readonly #fd: Fd;
  readonly #owner: ClientOwner;
  readonly #queue: ClientQueue;
  #mask = 0;
  /** Where what it gets begins. */
  #from: Places = { stdout: 0, stderr: 0 };
  #state: "open" | "finishing" | "gone" = "open";
  #isCut = false;
  #reading = true;
  /** It takes nothing more from us: what it sent before is still read to its end. */
  #deaf = false;
  /** Not read because the process has not taken what was read before. */
  #waiting = false;
  #registered = 0;
  #stall: Disposable | null = null;
  /** What arrived of an unfinished frame. */
  #input = new Uint8Array(0);

  /** Owns the connection. */
  constructor(loop: Loop, fd: Fd, owner: ClientOwner) {
    this.#loop = loop;
    this.#fd = fd;
    this.#owner = owner;
    this.#queue = new ClientQueue(owner.spillDirectory);
    this.#register();
  }

  wants(stream: StreamName): boolean {
    return this.#state === "open" && !this.#deaf && (this.#mask & (stream === "stdout" ? 1 : 2)) !== 0;
  }

  /** How many bytes of what begins at this place it got from a shim that was killed. */
  has(stream: StreamName, place: number): number {
    return Math.max(0, this.#from[stream] - place);
  }

  get subscribed(): boolean {
    return this.#mask !== 0;
  }

  get full(): boolean {
    return this.#queue.full;
  }

  /** Copies what the socket does not take now. False: full. */
  send(frame: Uint8Array): boolean {
    if (this.#state === "gone" || this.#deaf) return true;
    if (this.#queue.empty) {
      const put = this.#put(frame);
      if (put < frame.length && !this.#deaf) this.#queue.push(frame, put);
    } else this.#queue.push(frame);
    if (this.full) this.#stall ??= this.#watchdog();
    this.#register();
    return !this.full;
  }

  /** What is queued goes out, then the connection is closed; a client that does not read is closed in time. */
  finish(): void {
    if (this.#state !== "open") return;
    if (this.#mask !== 0) this.send(attachFrame(FRAME_END, new Uint8Array(0)));
    this.#state = "finishing";
    if (this.#queue.empty) {
      this.#close();
      return;
    }
    this.#rewatch();
    this.#register();
  }

  /** While it is full, and while it finishes: the client has so long for some progress. */
  #rewatch(): void {
    this.#stall?.[Symbol.dispose]();
    this.#stall = this.#state === "finishing" || this.full ? this.#watchdog() : null;
  }

  #watchdog(): Disposable {
    const finishing = this.#state === "finishing";
    const limit = this.#isCut ? ATTACH_LINGER : finishing ? ATTACH_FAREWELL : ATTACH_STALL_TIMEOUT;
    return this.#loop.timer(limit, () => {
      this.#stall = null;
      if (finishing) this.#close();
      else this.#cut("the client did not read for too long");
    });
  }

  /** The frame under way is kept whole, the rest of the queue gives way to the reason. */
  #cut(reason: string): void {
    if (this.#state !== "open") return;
    this.#owner.warn(`attach: ${reason}`);
    this.#isCut = true;
    this.#queue.cut(attachFrame(FRAME_ERROR, encodeUtf8(reason)));
    this.#state = "finishing";
    this.#rewatch();
    this.#flush();
    this.#owner.progress();
  }

  #flush(): void {
    const wasFull = this.full;
    let total = 0;
    for (let head = this.#queue.head(); head !== null && total < ATTACH_TURN; head = this.#queue.head()) {
      const put = this.#put(head);
      if (this.#deaf) return;
      total += put;
      try {
        this.#queue.took(put);
      } catch (thrown) {
        this.#owner.warn(`attach: ${messageOf(thrown)}`);
        this.#close();
        return;
      }
      if (put < head.length) break;
    }
    if (total > 0) this.#rewatch();
    if (this.#queue.empty && this.#state === "finishing") this.#close();
    else this.#register();
    if (wasFull && !this.full) this.#owner.progress();
  }

  /** How many bytes the socket took. */
  #put(bytes: Uint8Array): number {
    try {
      return write(this.#fd.number, bytes) ?? 0;
    } catch {
      this.#deafen();
      return 0;
    }
  }

  /** A client may send, close and go before its subscription is even answered; its input must not go with it. */
  #deafen(): void {
    this.#deaf = true;
    this.#queue.close();
    this.#stall?.[Symbol.dispose]();
    this.#stall = null;
    if (this.#state !== "open" || this.#owner.stdin === null) {
      this.#close();
      return;
    }
    this.#register();
    this.#owner.progress();
  }

  #read(): void {
    const chunk = new Uint8Array(READ_SIZE);
    let got: number | null = 0;
    try {
      got = read(this.#fd.number, chunk);
    } catch {
      this.#close();
      return;
    }
    if (got === null) return;
    if (got === 0) {
      this.#reading = false;
      if (this.#mask === 0 || this.#deaf) this.#close();
      else this.#register();
      return;
    }
    const whole = new Uint8Array(this.#input.length + got);
    whole.set(this.#input);
    whole.set(chunk.subarray(0, got), this.#input.length);
    this.#input = whole;
    this.#parse();
  }

  /** Takes whole frames; stdin that the process does not take stops this client until it does. */
  #parse(): void {
    let at = 0;
    while (this.#state === "open" && this.#reading && this.#input.length - at >= FRAME_HEADER) {
      const head = this.#input.subarray(at, at + FRAME_HEADER);
      const length = head[4]! * 2 ** 24 + (head[5]! << 16) + (head[6]! << 8) + head[7]!;
      if (length > ATTACH_FRAME_LIMIT) {
        this.#cut(`a frame of ${length} bytes is longer than ${ATTACH_FRAME_LIMIT}`);
        return;
      }
      if (this.#input.length - at < FRAME_HEADER + length) break;
      this.#frame(head[0]!, this.#input.slice(at + FRAME_HEADER, at + FRAME_HEADER + length));
      at += FRAME_HEADER + length;
    }
    this.#input = this.#input.slice(at);
    this.#register();
  }

  #frame(type: number, payload: Uint8Array): void {
    const { stdin, ended } = this.#owner;
    if (type === FRAME_SUBSCRIBE && payload.length >= 1 && this.#mask === 0) {
      this.#subscribe(payload[0]! & 3, payload.subarray(1));
      if (ended()) this.finish();
    } else if (type === FRAME_STDIN && stdin !== null) {
      if (stdin.write(payload)) return;
      this.#reading = false;
      this.#waiting = true;
      stdin.whenEmpty(() => {
        this.#waiting = false;
        if (this.#state === "gone") return;
        this.#reading = true;
        this.#parse();
      });
    } else if (type === FRAME_CLOSE_STDIN) {
      stdin?.close();
    } else if (type === FRAME_COMPRESSED && payload.length === 8) {
      const replaced = this.#owner.compressed(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0));
      this.send(attachFrame(FRAME_REPLACED, Uint8Array.of(replaced ? 1 : 0)));
    } else if (type !== FRAME_STDIN) {
      this.#cut(`a frame of type ${type} was not expected`);
    }
  }

  /** `had`: empty, or the places up to which it had the output. */
  #subscribe(mask: number, had: Uint8Array): void {
    const { places, continues } = this.#owner.journal;
    this.#mask = mask;
    const before = continues && had.length === PLACES_LENGTH ? decodePlaces(had) : places;
    this.#from = {
      stdout: Math.max(places.stdout, before.stdout),
      stderr: Math.max(places.stderr, before.stderr),
    };
    this.send(attachFrame(FRAME_SUBSCRIBED, Uint8Array.of(FRAME_END, ...encodePlaces(this.#from))));
    this.#owner.subscribed();
  }

  #register(): void {
    if (this.#state === "gone") return;
    const wanted = (this.#reading && this.#state === "open" ? EPOLLIN : 0) | (this.#queue.empty ? 0 : EPOLLOUT);
    if (wanted === this.#registered) return;
    this.#registered = wanted;
    // With no events wanted the descriptor stays: a peer that is gone is told as EPOLLHUP.
    this.#loop.watch(this.#fd.number, wanted, (events) => {
      if ((events & EPOLLOUT) !== 0) this.#flush();
      else if ((events & EPOLLIN) !== 0 || this.#reading) this.#read();
      else if (this.#waiting) this.#unwatch();
      else this.#close();
    });
  }

  /** The client is gone, and what it sent before is still to be read, once the process takes more. */
  #unwatch(): void {
    this.#loop.unwatch(this.#fd.number);
    this.#registered = 0;
  }

  #close(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#loop.unwatch(this.#fd.number);
    this.#stall?.[Symbol.dispose]();
    this.#queue.close();
    this.#fd.close();
    this.#owner.gone();
  }
}
