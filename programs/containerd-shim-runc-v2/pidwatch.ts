// The ends of processes that are not this shim's children: those of a container that it took over. The kernel tells the
// end by the process's pidfd, and the status once init has waited for the process (kernel 6.15); before, only while
// nobody has.
//
//     pidfd ──readable──▶ ended ─▶ zombie? its status by /proc ──▶ told
//                                   └─ waited for already: PIDFD_INFO_EXIT ─▶ told, or 255

import { TASK_PIDFD } from "../../api/task/extensions.ts";
import { wallNanoseconds } from "../../linux/clock.ts";
import { EPOLLIN } from "../../linux/epoll.ts";
import type { Fd } from "../../linux/fd.ts";
import { exitCodeOf, openPidfdIfThere, pidfdStatus, startTime, zombieStatus } from "../../linux/pidfd.ts";
import { killByPidfd, SIGKILL } from "../../linux/signal.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { EXIT_UNKNOWN, STATUS_ATTEMPTS, STATUS_INTERVAL } from "./limits.ts";
import type { Ended } from "./reaper.ts";

export interface Watched {
  pid: number;
  startTime: string;
  pidfd: Fd;
}

/** Calls back once, with what the kernel knows. Owns the pidfd. */
export function watchProcess(loop: Loop, process: Watched, ended: (end: Ended) => void): void {
  const { pid, pidfd } = process;
  loop.watch(pidfd.number, EPOLLIN, () => {
    loop.unwatch(pidfd.number);
    const at = wallNanoseconds();
    const look = (attempt: number): void => {
      const status = pidfdStatus(pidfd.number) ?? zombieStatus(pid, process.startTime);
      if (status === null && attempt < STATUS_ATTEMPTS) {
        loop.timer(STATUS_INTERVAL, () => look(attempt + 1));
        return;
      }
      pidfd.close();
      ended({ code: status === null ? EXIT_UNKNOWN : exitCodeOf(status), at });
    };
    look(0);
  });
}

/** SIGKILL to that process and to no other that has its number by now. False when it has ended. */
export function killProcess(process: { pid: number; startTime: string }): boolean {
  using pidfd = openPidfdIfThere(process.pid);
  return pidfd !== null && startTime(process.pid) === process.startTime && killByPidfd(pidfd.number, SIGKILL);
}

/** What a pidfd that the daemon held (TASK_PIDFD names the descriptor) tells of a task's first process; null while it
 *  lives, and when nothing came along. */
export function heldEnd(env: Readonly<Record<string, string>>): Ended | null {
  const number = Number(env[TASK_PIDFD] ?? "");
  const status = Number.isInteger(number) && number > 2 ? pidfdStatus(number) : null;
  return status === null ? null : { code: exitCodeOf(status), at: wallNanoseconds() };
}
