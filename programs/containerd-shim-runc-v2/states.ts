// Which call a task takes in which state, and the original's sentence for the others: clients read them.
//
//              start  pause  resume  update  checkpoint  exec
//     created    x                     x                  x (not one that waits for its restore)
//     running           x              x         x        x
//     paused                   x       x         x
//     stopped

import { Failure } from "../../base/errors.ts";
import type { Status } from "./process.ts";

const TAKEN = {
  start: ["created"],
  pause: ["running"],
  resume: ["paused"],
  update: ["created", "running", "paused"],
  checkpoint: ["running", "paused"],
  exec: ["created", "running"],
} as const satisfies Readonly<Record<string, readonly Status[]>>;
export type StatefulCall = keyof typeof TAKEN;

/** Throws the refusal of a call that the state does not take. */
export function requireState(call: StatefulCall, status: Status): void {
  const taken: readonly Status[] = TAKEN[call];
  if (!taken.includes(status)) throw new Failure("unknown", refusal(call, status));
}

function refusal(call: StatefulCall, status: Status): string {
  if (call === "exec") return `cannot exec in a ${status} state`;
  if (call === "start" || status === "running") return `cannot ${call} a ${status} process`;
  if (status !== "created") return `cannot ${call} a ${status} container`;
  return call === "checkpoint" ? "cannot checkpoint a task in created state" : `cannot ${call} task in created state`;
}
