// Limits of the process itself.

import { door } from "./door.ts";
import * as nr from "./numbers.ts";

const RLIMIT_NOFILE = 7;

/** The kernel's usual ceiling (fs.nr_open). */
const MOST_FILES = 1n << 20n;

/** As many open files as we may have; root may lift its own hard limit. For a program that holds sockets for others. */
export function raiseFileLimit(): void {
  const most = BigInt64Array.of(MOST_FILES, MOST_FILES);
  if (door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, most, null) === 0) return;
  const limit = new BigInt64Array(2);
  if (door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, null, limit) < 0) return;
  limit[0] = limit[1]!;
  door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, limit, null);
}
