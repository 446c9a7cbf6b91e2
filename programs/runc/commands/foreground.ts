// runc in the foreground: waits for the container's process, reaps what falls to it, hands signals on, and carries the
// terminal's bytes when there is one. One poll loop; the only file of runc that waits for more than one thing.

import type { Readiness } from "../../../container/readiness.ts";
import { door } from "../../../linux/door.ts";
import * as fs from "../../../linux/fd.ts";
import * as nr from "../../../linux/numbers.ts";
import { processId, waitChild } from "../../../linux/process.ts";
import * as signals from "../../../linux/signal.ts";
import { clearOnlcr, rawMode, setWindowSize, windowSize } from "../../../linux/tty.ts";

const POLLIN = 1;
const WNOHANG = 1;
const CHUNK = 32 << 10;
/** Milliseconds without a byte after the program's end that are taken for the end of its output. */
const DRAIN_SILENCE = 50;
/** Kept to themselves: they mean this process, not the container's. */
const NOT_FORWARDED: readonly number[] = [signals.SIGCHLD, signals.SIGPIPE, 23 /* SIGURG: Go's own */];
const ALL = Array.from({ length: 64 }, (_, index) => index + 1).filter(
  (signal) => signal !== signals.SIGKILL && signal !== signals.SIGSTOP && !(signal >= 32 && signal <= 33),
);
/** A fault of our own must not be held back: SEGV, BUS, ILL, FPE, TRAP, ABRT, SYS. */
const FAULTS = [4, 5, 6, 7, 8, 11, 31];
const CAUGHT = ALL.filter((signal) => !FAULTS.includes(signal));

export class Foreground {
  readonly #signals: fs.Fd;

  /** Before the clone, so that an end right after it is not missed. */
  constructor() {
    signals.blockSignals(CAUGHT);
    this.#signals = signals.openSignalFd(CAUGHT);
  }

  /** Before the program runs, so that it finds the right size from its first line on. */
  prepare(master: fs.Fd | null): void {
    if (master === null) return;
    clearOnlcr(master.number);
    resize(master.number);
  }

  /** Until `pid` has ended; its code, or 128 and the signal. Takes the master. What watches this process goes on
   *  watching it when the program is ready. */
  follow(pid: number, master: fs.Fd | null, readiness: Readiness | null = null): number {
    using terminal = master;
    using _raw = terminal === null ? null : rawMode(0);
    let input = terminal !== null;
    let unready = readiness?.descriptor ?? -1;
    for (;;) {
      const watched = [this.#signals.number, terminal?.number ?? -1, input ? 0 : -1, unready];
      const ready = pollReadable(watched);
      if (ready[0]) {
        const code = this.#handleSignals(pid, terminal);
        if (code !== null) {
          // What a program says right before its end counts.
          if (unready >= 0) isReady(readiness!);
          if (terminal !== null) drain(terminal.number);
          return code;
        }
      }
      if (ready[1] && terminal !== null) copy(terminal.number, 1);
      if (ready[2] && terminal !== null) input = copy(0, terminal.number);
      if (ready[3] && isReady(readiness!)) unready = -1;
    }
  }

  #handleSignals(pid: number, terminal: fs.Fd | null): number | null {
    let code: number | null = null;
    for (const { signal } of signals.readSignals(this.#signals.number)) {
      if (signal === signals.SIGCHLD) code = reap(pid) ?? code;
      else if (signal === signals.SIGWINCH && terminal !== null) resize(terminal.number);
      else if (!NOT_FORWARDED.includes(signal)) signals.kill(pid, signal);
    }
    return code;
  }
}

/** A watcher that has gone is none of the container's business. */
function isReady(readiness: Readiness): boolean {
  try {
    return readiness.handOn(processId());
  } catch {
    return true;
  }
}

function reap(pid: number): number | null {
  let code: number | null = null;
  for (let ended = waitChild(-1, WNOHANG); ended !== null; ended = waitChild(-1, WNOHANG)) {
    if (ended.pid === pid) code = ended.code;
  }
  return code;
}

/** The container's terminal takes the size of ours. */
function resize(master: number): void {
  const size = windowSize(0) ?? windowSize(1);
  if (size !== null) setWindowSize(master, size);
}

/** False at the end; a master reads EIO when its last peer is closed. */
function copy(from: number, to: number): boolean {
  const buffer = new Uint8Array(CHUNK);
  const got = door().syscall(nr.SYS_read, from, buffer, CHUNK);
  if (got <= 0) return false;
  fs.writeAll(to, buffer.subarray(0, got));
  return true;
}

/** What the terminal still holds; until its end, or a silence when another process keeps it open. */
function drain(master: number): void {
  while (pollReadable([master], DRAIN_SILENCE)[0] === true && copy(master, 1));
}

function pollReadable(descriptors: readonly number[], timeout = -1): boolean[] {
  // struct pollfd: int fd, short events, short revents; a negative fd is skipped
  const words = new Int32Array(descriptors.length * 2);
  descriptors.forEach((fd, index) => {
    words[index * 2] = fd;
    words[index * 2 + 1] = POLLIN;
  });
  door().syscall(nr.SYS_poll, words, descriptors.length, timeout);
  return descriptors.map((_, index) => words[index * 2 + 1]! >> 16 !== 0);
}
