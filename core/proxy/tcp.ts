// Forwarding of TCP connections from a listening socket to one backend, for docker-net (all ports of an engine in one
// process) and docker-proxy (one port, for the original dockerd).
//
//     accept ──▶ connect (not waited for) ──▶ two halves, each: read ──▶ write ──▶ ... end ──▶ shutdown of the other
//                    └ refused: client closed                  both ended, or an error on either side: both closed
//
// A half copies the first 64 KiB through memory, as most connections are small; then it splices through a 1 MiB
// pipe, which costs a third of the processor time of copying. A half that cannot write stops reading, so a slow reader
// holds back its own peer and nobody else, and no more than one pipe is ever held for it.

import { door } from "../../linux/door.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../linux/epoll.ts";
import { EAGAIN, must, retrying } from "../../linux/errno.ts";
import { F_SETPIPE_SZ, type Fd, O_NONBLOCK, pipe } from "../../linux/fd.ts";
import { type Endpoint, formatEndpoint, socketAddress, tuneTcp } from "../../linux/inet.ts";
import * as nr from "../../linux/numbers.ts";
import * as net from "../../linux/socket.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { ACCEPT_PAUSE, CONNECTIONS_PER_PORT, COPIED_FIRST, PIPE_SIZE, ROUNDS_PER_TURN } from "./limits.ts";

const MSG_NOSIGNAL = 0x4000;
const SPLICE_F_MOVE_NONBLOCK = 1 | 2;

/** The memory that all halves of a process copy through, one after the other. */
export class CopyBuffer {
  readonly bytes = new Uint8Array(COPIED_FIRST);
}

/** Listens for one published port until disposed, which ends its connections, too. */
export class TcpForwarder implements Disposable {
  readonly #loop: Loop;
  readonly #listener: Fd;
  readonly #backend: Endpoint;
  readonly #buffer: CopyBuffer;
  readonly #relays = new Set<Relay>();
  #pause: Disposable | null = null;
  #accepting = false;
  #closed = false;

  /** Owns the listening socket, which must be non-blocking. */
  constructor(loop: Loop, port: { listener: Fd; backend: Endpoint; buffer: CopyBuffer }) {
    this.#loop = loop;
    this.#listener = port.listener;
    this.#backend = port.backend;
    this.#buffer = port.buffer;
    this.#resume();
  }

  get connections(): number {
    return this.#relays.size;
  }

  #resume(): void {
    if (this.#closed || this.#accepting || this.#relays.size >= CONNECTIONS_PER_PORT) return;
    this.#accepting = true;
    this.#loop.watch(this.#listener.number, EPOLLIN, () => this.#accept());
  }

  /** Connections wait in the kernel's queue meanwhile. */
  #suspend(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    this.#loop.unwatch(this.#listener.number);
  }

  #accept(): void {
    try {
      for (let client = net.accept(this.#listener.number); client !== null; ) {
        this.#forward(client);
        if (this.#relays.size >= CONNECTIONS_PER_PORT) {
          this.#suspend();
          return;
        }
        client = net.accept(this.#listener.number);
      }
    } catch {
      // Out of descriptors, or the connection broke before it was taken: try again a little later.
      this.#suspend();
      this.#pause = this.#loop.timer(ACCEPT_PAUSE, () => this.#resume());
    }
  }

  #forward(client: Fd): void {
    let backend: Fd | null = null;
    try {
      const family = this.#backend.address.length === 4 ? net.AF_INET : net.AF_INET6;
      backend = net.socket(family, net.SOCK_STREAM | net.SOCK_NONBLOCK);
      net.connect(backend.number, socketAddress(this.#backend), formatEndpoint(this.#backend));
      tuneTcp(client.number);
      tuneTcp(backend.number);
    } catch {
      backend?.close();
      client.close();
      return;
    }
    const relay = new Relay(this.#loop, { client, backend, buffer: this.#buffer }, () => {
      this.#relays.delete(relay);
      this.#resume();
    });
    this.#relays.add(relay);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#suspend();
    this.#pause?.[Symbol.dispose]();
    this.#listener.close();
    for (const relay of [...this.#relays]) relay[Symbol.dispose]();
  }
}

/** One connection and its two halves. */
class Relay implements Disposable {
  readonly #loop: Loop;
  readonly #client: Fd;
  readonly #backend: Fd;
  readonly #up: Half;
  readonly #down: Half;
  readonly #ended: () => void;
  readonly #registered = new Map<Fd, number>();
  #connected = false;
  #closed = false;

  constructor(loop: Loop, ends: { client: Fd; backend: Fd; buffer: CopyBuffer }, ended: () => void) {
    this.#loop = loop;
    this.#client = ends.client;
    this.#backend = ends.backend;
    this.#up = new Half(ends.client, ends.backend, ends.buffer);
    this.#down = new Half(ends.backend, ends.client, ends.buffer);
    this.#ended = ended;
    this.#register(this.#backend, EPOLLOUT);
  }

  #ready(fd: Fd, events: number): void {
    if (!this.#connected) {
      if (net.socketError(this.#backend.number) !== 0) {
        this[Symbol.dispose]();
        return;
      }
      this.#connected = true;
    } else if ((events & EPOLLERR) !== 0) {
      this[Symbol.dispose]();
      return;
    } else if ((events & EPOLLHUP) !== 0 && this.#wanted(fd) === 0) {
      // Reported for ever, asked for or not, and nothing is left to be done on this side.
      this.#unregister(fd);
      return;
    }
    this.#pump();
  }

  #pump(): void {
    try {
      if (!this.#up.finished) this.#up.pump();
      if (!this.#down.finished) this.#down.pump();
    } catch {
      this[Symbol.dispose]();
      return;
    }
    if (this.#up.finished && this.#down.finished) {
      this[Symbol.dispose]();
      return;
    }
    this.#register(this.#client, this.#wanted(this.#client));
    this.#register(this.#backend, this.#wanted(this.#backend));
  }

  #wanted(fd: Fd): number {
    const [from, to] = fd === this.#client ? [this.#up, this.#down] : [this.#down, this.#up];
    const reading = !from.finished && from.waits === "read" ? EPOLLIN | EPOLLRDHUP : 0;
    return reading | (!to.finished && to.waits === "write" ? EPOLLOUT : 0);
  }

  #register(fd: Fd, events: number): void {
    if (this.#registered.get(fd) === events) return;
    this.#registered.set(fd, events);
    this.#loop.watch(fd.number, events, (ready) => this.#ready(fd, ready));
  }

  #unregister(fd: Fd): void {
    if (this.#registered.delete(fd)) this.#loop.unwatch(fd.number);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of [this.#client, this.#backend]) {
      this.#unregister(fd);
      fd.close();
    }
    this.#up[Symbol.dispose]();
    this.#down[Symbol.dispose]();
    this.#ended();
  }
}

/** One direction. `waits` says for which readiness: of the source to read, of the sink to write. */
class Half implements Disposable {
  readonly #from: Fd;
  readonly #to: Fd;
  readonly #buffer: CopyBuffer;
  /** Read and not yet written, while copying. */
  #rest: Uint8Array | null = null;
  #pipe: { read: Fd; write: Fd } | null = null;
  #inPipe = 0;
  #copied = 0;
  waits: "read" | "write" = "read";
  finished = false;

  constructor(from: Fd, to: Fd, buffer: CopyBuffer) {
    this.#from = from;
    this.#to = to;
    this.#buffer = buffer;
  }

  /** Moves what can be moved now, within a bound so that other connections get their turn. Throws when an end broke. */
  pump(): void {
    for (let round = 0; round < ROUNDS_PER_TURN; round++) {
      if (!this.#write()) {
        this.waits = "write";
        return;
      }
      this.waits = "read";
      const got = this.#copied < COPIED_FIRST ? this.#copyIn() : this.#spliceIn();
      if (got === null) return;
      if (got === 0) {
        net.shutdownWrite(this.#to.number);
        this.finished = true;
        this[Symbol.dispose]();
        return;
      }
    }
    // The bound was reached with the sink still taking; readiness of the source alone would do, but what was read last
    // has to go out even if the source is silent from now on.
    if (this.#rest !== null || this.#inPipe > 0) this.waits = "write";
  }

  /** Bytes taken in, 0 at the end, null when there is nothing now. */
  #copyIn(): number | null {
    const { bytes } = this.#buffer;
    const got = retrying(nr.SYS_recvfrom, this.#from.number, bytes, bytes.length, 0, null, null);
    if (got === -EAGAIN) return null;
    must("recv", "", got);
    this.#copied += got;
    const part = bytes.subarray(0, got);
    const put = this.#send(part);
    // The buffer belongs to all connections, so what is left moves to memory of its own.
    if (put < got) this.#rest = part.slice(put);
    return got;
  }

  #spliceIn(): number | null {
    this.#pipe ??= largePipe();
    const got = splice(this.#from.number, this.#pipe.write.number, PIPE_SIZE);
    if (got !== null) this.#inPipe = got;
    return got;
  }

  /** True when nothing is left to be written. */
  #write(): boolean {
    if (this.#rest !== null) {
      const put = this.#send(this.#rest);
      this.#rest = put === this.#rest.length ? null : this.#rest.subarray(put);
      return this.#rest === null;
    }
    while (this.#inPipe > 0) {
      const put = splice(this.#pipe!.read.number, this.#to.number, this.#inPipe);
      if (put === null) return false;
      this.#inPipe -= put;
    }
    return true;
  }

  #send(bytes: Uint8Array): number {
    const put = retrying(nr.SYS_sendto, this.#to.number, bytes, bytes.length, MSG_NOSIGNAL, null, 0);
    return put === -EAGAIN ? 0 : must("send", "", put);
  }

  [Symbol.dispose](): void {
    this.#pipe?.read.close();
    this.#pipe?.write.close();
    this.#pipe = null;
    this.#rest = null;
  }
}

/** Null when the source is empty or the sink full. */
function splice(from: number, to: number, length: number): number | null {
  const moved = retrying(nr.SYS_splice, from, null, to, null, length, SPLICE_F_MOVE_NONBLOCK);
  return moved === -EAGAIN ? null : must("splice", "", moved);
}

/** A refused size (fs.pipe-max-size) leaves the kernel's own, which only costs speed. */
function largePipe(): { read: Fd; write: Fd } {
  const ends = pipe(O_NONBLOCK);
  door().syscall(nr.SYS_fcntl, ends.write.number, F_SETPIPE_SZ, PIPE_SIZE);
  return ends;
}
