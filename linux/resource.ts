// Limits of the process itself.

import { door } from "./door.ts";
import * as nr from "./numbers.ts";

const RLIMIT_NOFILE = 7;

/** As many open files as the hard limit allows: for a program that holds sockets for others. */
export function raiseFileLimit(): void {
  const limit = new BigInt64Array(2);
  if (door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, null, limit) < 0) return;
  limit[0] = limit[1]!;
  door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, limit, null);
}
