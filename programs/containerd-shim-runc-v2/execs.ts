// The processes executed in a container, by exec id. The first process's exit is told after theirs.

import type { Loop } from "../../runtime/quickjs/loop.ts";
import { KILL_ALL_TIMEOUT } from "./limits.ts";
import type { Process } from "./process.ts";

export class Execs extends Map<string, Process> {
  #waiting: (() => void)[] = [];

  /** Resolves when none is alive any more, within a bounded time. */
  gone(loop: Loop): Promise<void> {
    const alive = () => [...this.values()].some((exec) => exec.alive);
    if (!alive()) return Promise.resolve();
    return new Promise<void>((resolve) => {
      const timeout = loop.timer(KILL_ALL_TIMEOUT, resolve);
      const look = () => {
        if (alive()) return void this.#waiting.push(look);
        timeout[Symbol.dispose]();
        resolve();
      };
      look();
    });
  }

  /** One may have ended, or will never begin. */
  changed(): void {
    for (const look of this.#waiting.splice(0)) look();
  }
}
