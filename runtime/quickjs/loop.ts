// The event loop of a QuickJS program: descriptors, timers and signals, waited for in one epoll. The host calls `turn`
// (as door.idle) whenever no job is left.
//
//     host: jobs ──▶ turn: wait ──▶ callbacks (they resolve promises) ──▶ host: jobs ──▶ ...
//
// The loop ends when nothing is watched, no timer runs and no one holds it (`hold`), or when `end(code)` was called.

import { monotonicMilliseconds } from "../../linux/clock.ts";
import { EPOLLIN, Epoll } from "../../linux/epoll.ts";
import type { Fd } from "../../linux/fd.ts";
import { blockSignals, openSignalFd, readSignals, type SignalInfo, setDisposition } from "../../linux/signal.ts";

type Ready = (events: number) => void;

interface Timer {
  due: number;
  expired: () => void;
}

interface Rest {
  after: number;
  calls: () => bigint[];
}

export class Loop {
  readonly #epoll = new Epoll();
  readonly #watched = new Map<number, Ready>();
  readonly #timers = new Set<Timer>();
  readonly #signals = new Map<number, Set<(info: SignalInfo) => void>>();
  #signalFd: Fd | null = null;
  #rest: Rest | null = null;
  #rested = false;
  #exitCode: number | null = null;

  /** Calls back while the descriptor has one of the events (level-triggered). Borrowed: unwatch before closing it. */
  watch(fd: number, events: number, ready: Ready): void {
    if (this.#watched.has(fd)) this.#epoll.modify(fd, events);
    else this.#epoll.add(fd, events);
    this.#watched.set(fd, ready);
  }

  unwatch(fd: number): void {
    if (this.#watched.delete(fd)) this.#epoll.remove(fd);
  }

  timer(milliseconds: number, expired: () => void): Disposable {
    const timer = { due: monotonicMilliseconds() + milliseconds, expired };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Delivers the signal to the callback instead of its default action, until disposed (it stays blocked then). */
  onSignal(signal: number, arrived: (info: SignalInfo) => void): Disposable {
    const listeners = this.#signals.get(signal) ?? new Set();
    listeners.add(arrived);
    this.#signals.set(signal, listeners);
    // A signal whose disposition is "ignore" (inherited over execve) would be dropped before it reached the descriptor.
    setDisposition(signal, "default");
    blockSignals([signal]);
    const first = this.#signalFd === null;
    this.#signalFd = openSignalFd([...this.#signals.keys()], this.#signalFd);
    if (first) this.#epoll.add(this.#signalFd.number, EPOLLIN);
    return { [Symbol.dispose]: () => void listeners.delete(arrived) };
  }

  /** Once whenever nothing has happened for so many milliseconds these system calls (Door.syscalls) are done, the last
   *  thing before a wait. */
  onRest(after: number, calls: () => bigint[]): void {
    this.#rest = { after, calls };
  }

  /** Ends the program with this exit code once the running callbacks and their jobs are done. */
  end(code: number): void {
    this.#exitCode ??= code;
  }

  /** One wait and its callbacks; a number is the exit code. */
  turn(): number | undefined {
    if (this.#exitCode !== null) return this.#exitCode;
    if (this.#watched.size === 0 && this.#timers.size === 0 && !this.#listening()) return 0;
    const next = this.#untilNextTimer();
    const rest = this.#rested ? null : this.#rest;
    const untilRest = rest !== null && (next < 0 || next > rest.after) ? rest.after : null;
    if (!this.#wait(untilRest ?? next) && untilRest !== null) {
      this.#rested = true;
      this.#wait(this.#untilNextTimer(), rest!.calls());
    }
    return undefined;
  }

  /** Whether anything was ready. */
  #wait(timeout: number, before: readonly bigint[] = []): boolean {
    let busy = false;
    const ready = (fd: number, events: number) => {
      busy = true;
      if (fd === this.#signalFd?.number) this.#deliverSignals();
      else this.#watched.get(fd)?.(events);
    };
    if (before.length === 0) this.#epoll.wait(timeout, ready);
    else this.#epoll.waitAfter(before, timeout, ready);
    if (busy) this.#rested = false;
    this.#expireTimers();
    return busy;
  }

  #listening(): boolean {
    for (const listeners of this.#signals.values()) if (listeners.size > 0) return true;
    return false;
  }

  #deliverSignals(): void {
    for (const info of readSignals(this.#signalFd!.number)) {
      for (const arrived of [...(this.#signals.get(info.signal) ?? [])]) arrived(info);
    }
  }

  #untilNextTimer(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) next = Math.min(next, timer.due);
    if (next === Number.POSITIVE_INFINITY) return -1;
    return Math.max(0, Math.ceil(next - monotonicMilliseconds()));
  }

  #expireTimers(): void {
    if (this.#timers.size === 0) return;
    const now = monotonicMilliseconds();
    for (const timer of [...this.#timers]) {
      if (timer.due <= now && this.#timers.delete(timer)) timer.expired();
    }
  }
}
