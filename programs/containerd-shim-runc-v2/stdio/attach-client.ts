// One client of the attach socket.
//
//     connected ──frame 8──▶ subscribed ──▶ finishing (the queue goes out, then the end) ──▶ gone
//         └──────────────── cut: error frame ──────▶ finishing
//
// Its own half-close means that it sends no more stdin; only a full close or an error ends it.

import {
  ATTACH_FRAME_LIMIT,
  attachFrame,
  FRAME_CLOSE_STDIN,
  FRAME_END,
  FRAME_ERROR,
  FRAME_HEADER,
  FRAME_STDIN,
  FRAME_SUBSCRIBE,
  FRAME_SUBSCRIBED,
} from "../../../api/task/attach.ts";
import { encodeUtf8 } from "../../../base/bytes.ts";
import { EPOLLIN, EPOLLOUT } from "../../../linux/epoll.ts";
import { type Fd, read, write } from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { ATTACH_LINGER, ATTACH_QUEUE_LIMIT, ATTACH_STALL_TIMEOUT } from "../limits.ts";
import type { StreamName } from "./records.ts";
import type { StdinWriter } from "./stdin.ts";

const READ_SIZE = 4 << 10;

export interface ClientOwner {
  stdin: StdinWriter | null;
  warn: (sentence: string) => void;
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
  #mask = 0;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #state: "open" | "finishing" | "gone" = "open";
  #reading = true;
  /** It takes nothing more from us: what it sent before is still read to its end. */
  #deaf = false;
  /** Not read because the process has not taken what was read before. */
  #waiting = false;
  #registered = 0;
  #stall: Disposable | null = null;
  /** What arrived of an unfinished frame. */
  #input = new Uint8Array(0);

  constructor(loop: Loop, fd: Fd, owner: ClientOwner) {
    this.#loop = loop;
    this.#fd = fd;
    this.#owner = owner;
    this.#register();
  }

  wants(stream: StreamName): boolean {
    return this.#state === "open" && !this.#deaf && (this.#mask & (stream === "stdout" ? 1 : 2)) !== 0;
  }

  get subscribed(): boolean {
    return this.#mask !== 0;
  }

  get full(): boolean {
    return this.#queued >= ATTACH_QUEUE_LIMIT;
  }

  /** Copies what the socket does not take now. False: full. */
  send(frame: Uint8Array): boolean {
    if (this.#state === "gone" || this.#deaf) return true;
    const left = this.#queued === 0 ? this.#put(frame) : frame;
    if (left !== null) {
      this.#queue.push(left.slice());
      this.#queued += left.length;
      this.#stall ??= this.#watchdog();
    }
    this.#register();
    return !this.full;
  }

  /** What is queued goes out, then the connection is closed; a client that does not read is closed in time. */
  finish(): void {
    if (this.#state !== "open") return;
    if (this.#mask !== 0) this.send(attachFrame(FRAME_END, new Uint8Array(0)));
    this.#state = "finishing";
    if (this.#queued === 0) {
      this.#close();
      return;
    }
    this.#stall?.[Symbol.dispose]();
    this.#stall = this.#watchdog();
    this.#register();
  }

  /** Restarted by every progress. */
  #watchdog(): Disposable {
    const finishing = this.#state === "finishing";
    return this.#loop.timer(finishing ? ATTACH_LINGER : ATTACH_STALL_TIMEOUT, () => {
      this.#stall = null;
      if (finishing) this.#close();
      else if (this.full) this.#cut("the client did not read for too long");
      else this.#stall = this.#watchdog();
    });
  }

  /** The frame under way is kept whole, the rest of the queue gives way to the reason. */
  #cut(reason: string): void {
    if (this.#state !== "open") return;
    this.#owner.warn(`attach: ${reason}`);
    const frame = attachFrame(FRAME_ERROR, encodeUtf8(reason));
    const first = this.#queue[0];
    this.#queue = first === undefined ? [frame] : [first, frame];
    this.#queued = this.#queue.reduce((sum, part) => sum + part.length, 0);
    this.#state = "finishing";
    this.#stall?.[Symbol.dispose]();
    this.#stall = this.#watchdog();
    this.#flush();
    this.#owner.progress();
  }

  #flush(): void {
    const wasFull = this.full;
    let progress = false;
    while (this.#queue.length > 0) {
      const part = this.#queue[0]!;
      const left = this.#put(part);
      if (this.#deaf) return;
      const put = part.length - (left?.length ?? 0);
      this.#queued -= put;
      progress ||= put > 0;
      if (left === null) this.#queue.shift();
      else {
        this.#queue[0] = left;
        break;
      }
    }
    if (progress) {
      this.#stall?.[Symbol.dispose]();
      this.#stall = this.#queued > 0 ? this.#watchdog() : null;
    }
    if (this.#queued === 0 && this.#state === "finishing") this.#close();
    else this.#register();
    if (wasFull && !this.full) this.#owner.progress();
  }

  #put(bytes: Uint8Array): Uint8Array | null {
    try {
      const put = write(this.#fd.number, bytes) ?? 0;
      return put === bytes.length ? null : bytes.subarray(put);
    } catch {
      this.#deafen();
      return null;
    }
  }

  /** A client may send, close and go before its subscription is even answered; its input must not go with it. */
  #deafen(): void {
    this.#deaf = true;
    this.#queue = [];
    this.#queued = 0;
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
    if (type === FRAME_SUBSCRIBE && payload.length === 1 && this.#mask === 0) {
      this.#mask = payload[0]! & 3;
      this.send(attachFrame(FRAME_SUBSCRIBED, Uint8Array.of(FRAME_END)));
      this.#owner.subscribed();
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
    } else if (type !== FRAME_STDIN) {
      this.#cut(`a frame of type ${type} was not expected`);
    }
  }

  #register(): void {
    if (this.#state === "gone") return;
    const wanted = (this.#reading && this.#state === "open" ? EPOLLIN : 0) | (this.#queued > 0 ? EPOLLOUT : 0);
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
    this.#queue = [];
    this.#queued = 0;
    this.#fd.close();
    this.#owner.gone();
  }
}
