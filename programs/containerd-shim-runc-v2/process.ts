// One process of a task: its first one (init.ts) or one that was executed in it (exec.ts).
//
//     created ──start──▶ running ──pause──▶ paused ──resume──▶ running
//        └──────────────────┴── exit: output drained, status kept, waiters told, event out ──▶ stopped ──delete──▶ gone

import { Failure } from "../../base/errors.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { Cancel, type CancelSource } from "../../wire/call.ts";
import { DRAIN_TIMEOUT } from "./limits.ts";
import type { Ended } from "./reaper.ts";
import type { ProcessIo } from "./stdio/io.ts";

/** containerd.v1.types.Status */
export const STATUS = { created: 1, running: 2, stopped: 3, paused: 4, pausing: 5 } as const;
/** "pausing" is what the container says while the runtime is at it. */
export type Status = Exclude<keyof typeof STATUS, "pausing">;

export interface StdioNames {
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
}

export class Process {
  /** "" for the first process. */
  readonly execId: string;
  readonly stdio: StdioNames;
  pid = 0;
  /** With which the pid means this process alone. */
  startTime = "";
  status: Status = "created";
  io: ProcessIo | null = null;
  ended: Ended | null = null;
  readonly #waiting = new Set<(ended: Ended) => void>();
  /** While a start is under way its exit waits, so that the start is told first. */
  #starting = false;
  #held: Ended | null = null;
  #stdinClosed = false;

  constructor(execId: string, stdio: StdioNames) {
    this.execId = execId;
    this.stdio = stdio;
  }

  get starting(): boolean {
    return this.#starting;
  }

  /** Whether it runs or is about to. */
  get alive(): boolean {
    return this.#starting || (this.pid !== 0 && this.ended === null);
  }

  /** A caller that goes away is forgotten. Its promise is settled all the same: what waits for one that never is would
   *  stay until the next collection of cycles. */
  wait(caller: CancelSource): Promise<Ended> {
    if (this.ended !== null) return Promise.resolve(this.ended);
    return new Promise((resolve, reject) => {
      this.#waiting.add(resolve);
      caller.onCancel(() => {
        if (this.#waiting.delete(resolve)) reject(new Failure("canceled", "context canceled"));
      });
    });
  }

  beginStart(): void {
    this.#starting = true;
  }

  /** The exit that came meanwhile, or null. */
  endStart(): Ended | null {
    const held = this.#held;
    this.#starting = false;
    this.#held = null;
    return held;
  }

  /** The streams are there from now on, also while the runtime is still at work. */
  opened(io: ProcessIo): void {
    this.io = io;
    if (this.#stdinClosed) io.closeStdin();
  }

  /** CloseIO. It may come before the streams are open: a client whose input is short is faster than the runtime. */
  closeStdin(): void {
    this.#stdinClosed = true;
    this.io?.closeStdin();
  }

  /** True: the exit must wait for the start. */
  holdExit(ended: Ended): boolean {
    if (this.#starting) this.#held = ended;
    return this.#starting;
  }

  /** The exit is official. */
  setEnded(ended: Ended): void {
    this.ended = ended;
    this.status = "stopped";
    for (const resolve of this.#waiting) resolve(ended);
    this.#waiting.clear();
  }

  requireStopped(): void {
    if (this.status === "running" || this.status === "paused") {
      throw new Failure("unknown", `cannot delete a ${this.status} process`);
    }
  }
}

/** Its end, or the time for it is over. */
export function endOf(loop: Loop, process: Process): Promise<void> {
  return new Promise((resolve) => {
    const timeout = loop.timer(DRAIN_TIMEOUT, resolve);
    void process.wait(new Cancel()).then(() => {
      timeout[Symbol.dispose]();
      resolve();
    });
  });
}
