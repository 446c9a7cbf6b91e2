// Time as the kernel counts it.

import { door } from "./door.ts";
import * as nr from "./numbers.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

function nanoseconds(clock: number): bigint {
  const time = new BigInt64Array(2);
  door().syscall(nr.SYS_clock_gettime, clock, time);
  return time[0]! * 1_000_000_000n + time[1]!;
}

/** Wall time in nanoseconds since 1970. */
export function wallNanoseconds(): bigint {
  return nanoseconds(CLOCK_REALTIME);
}

/** Milliseconds that only grow, with a fraction. */
export function monotonicMilliseconds(): number {
  return Number(nanoseconds(CLOCK_MONOTONIC)) / 1e6;
}

/** RFC 3339 in UTC with nine digits, trailing zeros dropped as Go's RFC3339Nano does. */
export function formatTime(nanosecondsSince1970: bigint): string {
  const nanoseconds = Number(nanosecondsSince1970 % 1_000_000_000n);
  const seconds = new Date(Number(nanosecondsSince1970 / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  if (nanoseconds === 0) return `${seconds}Z`;
  const digits = String(nanoseconds).padStart(9, "0");
  let end = digits.length;
  while (digits[end - 1] === "0") end--;
  return `${seconds}.${digits.slice(0, end)}Z`;
}
