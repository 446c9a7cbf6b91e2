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

/** The limit that this program was started with, once it was raised. */
let before: BigInt64Array | null = null;

/** At least so many open files for this program alone, as far as its hard limit goes. How many they are now. */
export function raiseOwnFileLimit(wanted: number): number {
  const limit = new BigInt64Array(2);
  if (door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, null, limit) < 0) return 0;
  const [soft, hard] = [BigInt.asUintN(64, limit[0]!), BigInt.asUintN(64, limit[1]!)];
  if (soft >= wanted) return wanted;
  before ??= new BigInt64Array(limit);
  const raised = hard < wanted ? hard : BigInt(wanted);
  limit[0] = raised;
  return door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, limit, null) === 0 ? Number(raised) : Number(soft);
}

/** For a child that becomes another program: it gets what its maker was started with. */
export function restoreFileLimit(): void {
  if (before !== null) door().syscall(nr.SYS_prlimit64, 0, RLIMIT_NOFILE, before, null);
}
