// From the pipe of a process to the FIFO of a client, inside the kernel: the bytes are in one of the two pipes at every
// moment, so a shim that is killed takes none of them with it, and none is copied.
//
//     process ──▶ stdout.fifo ──splice──▶ the client's FIFO ──▶ client
//                      │                       └─ full: wait until it is not, and leave the rest where it is
//                      └─ its last writer is gone: both are closed

import { door } from "../../../linux/door.ts";
import { EPOLLIN, EPOLLOUT } from "../../../linux/epoll.ts";
import { EAGAIN, EINTR } from "../../../linux/errno.ts";
import { type Fd, unread } from "../../../linux/fd.ts";
import { SYS_splice } from "../../../linux/numbers.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { COPY_TURN } from "../limits.ts";
import type { Flow } from "./pump.ts";

/** include/linux/splice.h */
const SPLICE_F_NONBLOCK = 2;

export class Splice implements Flow {
  readonly #loop: Loop;
  readonly #source: Fd;
  readonly #target: Fd;
  #ended: (() => void)[] = [];
  #state: "held" | "reading" | "full" | "ended" = "held";

  /** Owns both, which are pipes. Nothing is moved before `begin`. */
  constructor(loop: Loop, source: Fd, target: Fd) {
    this.#loop = loop;
    this.#source = source;
    this.#target = target;
  }

  begin(): void {
    if (this.#state === "held") this.#read();
  }

  ended(): Promise<void> {
    if (this.#state === "ended") return Promise.resolve();
    return new Promise((resolve) => this.#ended.push(resolve));
  }

  close(): void {
    if (this.#state === "ended") return;
    if (this.#state === "reading") this.#loop.unwatch(this.#source.number);
    if (this.#state === "full") this.#loop.unwatch(this.#target.number);
    this.#state = "ended";
    this.#source.close();
    this.#target.close();
    for (const resolve of this.#ended.splice(0)) resolve();
  }

  #read(): void {
    this.#state = "reading";
    this.#loop.watch(this.#source.number, EPOLLIN, () => this.#move());
  }

  #move(): void {
    const [source, target] = [this.#source.number, this.#target.number];
    const moved = door().syscall(SYS_splice, source, null, target, null, COPY_TURN, SPLICE_F_NONBLOCK);
    if (moved > 0 || moved === -EINTR) return;
    // Any other failure of a pipe cannot be helped: as its end.
    if (moved !== -EAGAIN) this.close();
    else if (unread(source) > 0) this.#wait();
  }

  /** There is something, and no room for it. */
  #wait(): void {
    if (this.#state !== "reading") return;
    this.#loop.unwatch(this.#source.number);
    this.#state = "full";
    this.#loop.watch(this.#target.number, EPOLLOUT, () => {
      this.#loop.unwatch(this.#target.number);
      this.#read();
    });
  }
}
