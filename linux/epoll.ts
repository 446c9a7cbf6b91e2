// epoll, the one place where a QuickJS program waits.

import { door } from "./door.ts";
import { EINTR, must } from "./errno.ts";
import { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";

export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;

const EPOLL_CLOEXEC = 0o2000000;
const CTL = { add: 1, remove: 2, modify: 3 } as const;
/** Events taken from the kernel at once. */
const BATCH = 32;
/** struct epoll_event is packed on x86_64: u32 events, u64 data. */
const EVENT_SIZE = 12;

export class Epoll implements Disposable {
  readonly #fd: Fd;
  readonly #events = new Uint8Array(BATCH * EVENT_SIZE);
  readonly #view = new DataView(this.#events.buffer);

  constructor() {
    this.#fd = new Fd(must("epoll_create", "", door().syscall(nr.SYS_epoll_create1, EPOLL_CLOEXEC)));
  }

  add(fd: number, events: number): void {
    this.#control(CTL.add, fd, events);
  }

  modify(fd: number, events: number): void {
    this.#control(CTL.modify, fd, events);
  }

  remove(fd: number): void {
    this.#control(CTL.remove, fd, 0);
  }

  #control(operation: number, fd: number, events: number): void {
    const event = new Uint8Array(EVENT_SIZE);
    const view = new DataView(event.buffer);
    view.setUint32(0, events, true);
    view.setUint32(4, fd, true);
    must("epoll_ctl", `fd ${fd}`, door().syscall(nr.SYS_epoll_ctl, this.#fd.number, operation, fd, event));
  }

  /** Waits at most `milliseconds` (-1: for ever) and gives each ready descriptor with its events. */
  wait(milliseconds: number, ready: (fd: number, events: number) => void): void {
    const result = door().syscall(nr.SYS_epoll_pwait, this.#fd.number, this.#events, BATCH, milliseconds, null, 8);
    this.#give(result, ready);
  }

  /** The same, right after other system calls (Door.syscalls), with nothing run in between. */
  waitAfter(calls: readonly bigint[], milliseconds: number, ready: (fd: number, events: number) => void): void {
    const events = BigInt(door().address(this.#events));
    const wait = [nr.SYS_epoll_pwait, this.#fd.number].map(BigInt);
    const rows = BigInt64Array.from([...calls, ...wait, events, BigInt(BATCH), BigInt(milliseconds), 0n, 8n]);
    this.#give(door().syscalls(rows), ready);
  }

  #give(result: number, ready: (fd: number, events: number) => void): void {
    if (result === -EINTR) return;
    const count = must("epoll_wait", "", result);
    // Copied first: what is ready may add and remove descriptors, or wait again.
    const list: [fd: number, events: number][] = [];
    for (let at = 0; at < count; at++) {
      list.push([this.#view.getUint32(at * EVENT_SIZE + 4, true), this.#view.getUint32(at * EVENT_SIZE, true)]);
    }
    for (const [fd, events] of list) ready(fd, events);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
