// ByteStream, Connection and Listener over descriptors and the loop. Descriptors are non-blocking where the kernel lets
// them (regular files never block anyway).

import type { ByteStream, Connection, Listener } from "../../base/runtime.ts";
import { EPOLLIN, EPOLLOUT } from "../../linux/epoll.ts";
import { ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, errnoOf } from "../../linux/errno.ts";
import { type Fd, read, setNonBlocking, write } from "../../linux/fd.ts";
import { accept, peerCredentials, send, shutdownWrite } from "../../linux/socket.ts";
import type { Loop } from "./loop.ts";

/** Reads that may succeed at once before the loop gets a turn. Without it a peer that is always ahead would keep
 *  signals, timers and all other descriptors waiting for ever: awaiting what is already there never
 *  leaves the job queue. */
const EAGER_READS = 64;

interface PendingRead {
  into: Uint8Array;
  resolve: (count: number) => void;
  reject: (reason: unknown) => void;
}

interface PendingWrite {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

export class FdStream implements ByteStream {
  readonly #loop: Loop;
  readonly #fd: Fd;
  readonly #kind: "socket" | "file";
  /** A shared descriptor that must stay blocking: read only when the loop saw it ready. */
  readonly #blocking: boolean;
  readonly #writes: PendingWrite[] = [];
  #read: PendingRead | null = null;
  #eager = EAGER_READS;
  /** epoll refuses regular files, /dev/zero and their like: they are always ready. Known after the first attempt. */
  #always = false;
  #turning = false;
  #shutdown: "no" | "asked" | "done" = "no";
  #closed = false;
  /** Events now registered with the loop; 0 means not registered. */
  #registered = 0;

  /** Owns the descriptor. */
  constructor(loop: Loop, fd: Fd, kind: "socket" | "file", blocking = false) {
    this.#blocking = blocking;
    this.#loop = loop;
    this.#fd = fd;
    this.#kind = kind;
  }

  get descriptor(): number {
    return this.#fd.number;
  }

  read(into: Uint8Array): Promise<number> {
    if (this.#closed) return Promise.resolve(0);
    if (this.#read !== null) throw new Error("impossible state: two reads of one stream at a time");
    return new Promise((resolve, reject) => {
      this.#read = { into, resolve, reject };
      if ((!this.#blocking || this.#always) && this.#eager-- > 0) this.#tryRead();
      this.#register();
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.#shutdown !== "no") return Promise.reject(new Error("write to a closed stream"));
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, resolve, reject });
      if (this.#writes.length === 1) this.#tryWrite();
      this.#register();
    });
  }

  closeWrite(): void {
    if (this.#closed || this.#shutdown !== "no") return;
    this.#shutdown = "asked";
    this.#finishShutdown();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#registered !== 0) this.#loop.unwatch(this.#fd.number);
    this.#fd.close();
    const reading = this.#read;
    this.#read = null;
    reading?.resolve(0);
    for (const pending of this.#writes.splice(0)) pending.reject(new Error("the stream was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #tryRead(): void {
    const pending = this.#read;
    if (pending === null) return;
    try {
      const got = read(this.#fd.number, pending.into);
      if (got === null) return;
      this.#read = null;
      pending.resolve(got);
    } catch (thrown) {
      this.#read = null;
      // The other side of a terminal went (EIO) or a peer reset: for a reader that is the end.
      if (errnoOf(thrown) === 5 || errnoOf(thrown) === 104) pending.resolve(0);
      else pending.reject(thrown);
    }
  }

  #tryWrite(): void {
    for (let pending = this.#writes[0]; pending !== undefined; pending = this.#writes[0]) {
      try {
        const put = (this.#kind === "socket" ? send : write)(this.#fd.number, pending.bytes);
        if (put === null) return;
        if (put < pending.bytes.length) {
          pending.bytes = pending.bytes.subarray(put);
          continue;
        }
        this.#writes.shift();
        pending.resolve();
      } catch (thrown) {
        for (const failed of this.#writes.splice(0)) failed.reject(thrown);
      }
    }
    this.#finishShutdown();
  }

  #finishShutdown(): void {
    if (this.#shutdown !== "asked" || this.#writes.length > 0) return;
    this.#shutdown = "done";
    if (this.#kind === "socket") shutdownWrite(this.#fd.number);
  }

  #register(): void {
    if (this.#closed) return;
    const wanted = (this.#read === null ? 0 : EPOLLIN) | (this.#writes.length === 0 ? 0 : EPOLLOUT);
    if (this.#always && wanted !== 0) this.#takeTurn();
    if (this.#always || wanted === this.#registered) return;
    if (wanted === 0) this.#loop.unwatch(this.#fd.number);
    else if (!this.#watch(wanted)) {
      this.#takeTurn();
      return;
    }
    this.#registered = wanted;
  }

  /** For what is always ready: goes on after the loop has looked at everything else. */
  #takeTurn(): void {
    if (this.#turning) return;
    this.#turning = true;
    this.#loop.timer(0, () => {
      this.#turning = false;
      this.#eager = EAGER_READS;
      if (this.#closed) return;
      this.#tryRead();
      this.#tryWrite();
      this.#register();
    });
  }

  /** False when the kernel will not watch it. */
  #watch(events: number): boolean {
    try {
      this.#loop.watch(this.#fd.number, events, (ready) => {
        this.#eager = EAGER_READS;
        if ((ready & ~EPOLLOUT) !== 0) this.#tryRead();
        if (this.#writes.length > 0) this.#tryWrite();
        this.#register();
      });
      return true;
    } catch (thrown) {
      if (errnoOf(thrown) !== EPERM) throw thrown;
      this.#always = true;
      return false;
    }
  }
}

export class SocketConnection extends FdStream implements Connection {
  readonly peer: { pid: number; uid: number; gid: number } | null;

  constructor(loop: Loop, fd: Fd, local: boolean) {
    super(loop, fd, "socket");
    this.peer = local ? peerCredentials(fd.number) : null;
  }
}

/** Failures of accept that pass: a peer that is gone again, and no descriptor or memory left for one. */
const PASSING = [ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM];
/** Milliseconds until those who wait are looked at again. */
const ACCEPT_PAUSE = 100;

export class SocketListener implements Listener {
  readonly #loop: Loop;
  readonly #fd: Fd;
  readonly #local: boolean;
  #waiting: ((connection: Connection | null) => void) | null = null;
  #watched = false;
  #pause: Disposable | null = null;
  #closed = false;

  /** Owns the listening descriptor. `local`: a unix socket, whose peers have credentials. */
  constructor(loop: Loop, fd: Fd, local: boolean) {
    this.#loop = loop;
    this.#fd = fd;
    this.#local = local;
    setNonBlocking(fd.number, true);
  }

  accept(): Promise<Connection | null> {
    if (this.#closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#tryAccept();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#pause?.[Symbol.dispose]();
    this.#fd.close();
    this.#waiting?.(null);
    this.#waiting = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #tryAccept(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    try {
      const fd = accept(this.#fd.number);
      if (fd === null) {
        this.#watch();
        return;
      }
      this.#unwatch();
      this.#waiting = null;
      waiting(new SocketConnection(this.#loop, fd, this.#local));
    } catch (thrown) {
      if (!PASSING.includes(errnoOf(thrown))) throw thrown;
      this.#unwatch();
      this.#pause = this.#loop.timer(ACCEPT_PAUSE, () => this.#tryAccept());
    }
  }

  #watch(): void {
    if (this.#watched) return;
    this.#watched = true;
    this.#loop.watch(this.#fd.number, EPOLLIN, () => this.#tryAccept());
  }

  #unwatch(): void {
    if (!this.#watched) return;
    this.#watched = false;
    this.#loop.unwatch(this.#fd.number);
  }
}
