// What tests of portable code take from runtime/node: its clock. Here it is the engine's own, known once main began.

import type { Clock } from "../../base/runtime.ts";

let clock: Clock | null = null;

export function setClock(real: Clock): void {
  clock = real;
}

function real(): Clock {
  if (clock === null) throw new Error("impossible state: the clock was asked before main began");
  return clock;
}

export const nodeClock: Clock = {
  now: () => real().now(),
  nowNanoseconds: () => real().nowNanoseconds(),
  monotonic: () => real().monotonic(),
  sleep: (milliseconds) => real().sleep(milliseconds),
  timer: (milliseconds, expired) => real().timer(milliseconds, expired),
};
