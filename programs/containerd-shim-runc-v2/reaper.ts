// Every child of the shim is waited for here and nowhere else: the runtime's processes, loggers, the containers'
// processes (which become the shim's children when the runtime ends, because the shim is a subreaper), and strangers.
//
//     SIGCHLD ──▶ reap: wait4 until none is left ──▶ whoever expects the pid
//                                                └─▶ nobody yet: kept while a runtime call is under way, because a
//                                                    container's process may end before its pid file was read

import { wallNanoseconds } from "../../linux/clock.ts";
import { WNOHANG, waitChild } from "../../linux/process.ts";
import { SIGCHLD } from "../../linux/signal.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { EARLY_EXIT_LIMIT } from "./limits.ts";

export interface Ended {
  /** The exit code, or 128 + the signal. */
  code: number;
  /** Wall time in nanoseconds since 1970. */
  at: bigint;
}

type Expecting = (ended: Ended) => void;

export class Reaper {
  readonly #expected = new Map<number, Expecting>();
  readonly #early = new Map<number, Ended>();
  #calls = 0;

  constructor(loop: Loop) {
    loop.onSignal(SIGCHLD, () => this.#reap());
  }

  /** Calls back, once, when the process ends; at once if it did during a runtime call. */
  expect(pid: number, ended: Expecting): void {
    const early = this.#early.get(pid);
    this.#early.delete(pid);
    if (early !== undefined) ended(early);
    else this.#expected.set(pid, ended);
  }

  exitOf(pid: number): Promise<Ended> {
    return new Promise((resolve) => this.expect(pid, resolve));
  }

  /** Until disposed, exits of unknown processes are kept. */
  holdEarlyExits(): Disposable {
    this.#calls++;
    return {
      [Symbol.dispose]: () => {
        if (--this.#calls === 0) this.#early.clear();
      },
    };
  }

  #reap(): void {
    for (let exit = waitChild(-1, WNOHANG); exit !== null; exit = waitChild(-1, WNOHANG)) {
      const ended = { code: exit.code, at: wallNanoseconds() };
      const expecting = this.#expected.get(exit.pid);
      if (expecting !== undefined) {
        this.#expected.delete(exit.pid);
        expecting(ended);
      } else if (this.#calls > 0 && this.#early.size < EARLY_EXIT_LIMIT) {
        this.#early.set(exit.pid, ended);
      }
    }
  }
}
