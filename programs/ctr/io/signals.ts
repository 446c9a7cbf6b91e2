// Signals: their names and numbers as command lines give them, and those this process gets handed on to a container's.

import { constants } from "node:os";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { ProcessName, TaskService } from "../../../core/tasks/tasks.ts";
import { sentenceOf } from "../cli/errors.ts";
import { log } from "../cli/log.ts";

const LAST_SIGNAL = 64;
const FIRST_REALTIME = 34;

/** "9", "KILL", "SIGKILL", "rtmin+2" */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number > 0 && number <= LAST_SIGNAL) return number;
  }
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  const number = (constants.signals as Readonly<Record<string, number>>)[name];
  if (number !== undefined) return number;
  const realtime = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realtime !== null) {
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === "-" ? -1 : 1);
    const chosen = (realtime[1] === "MIN" ? FIRST_REALTIME : LAST_SIGNAL) + offset;
    if (chosen >= FIRST_REALTIME && chosen <= LAST_SIGNAL) return chosen;
  }
  throw new Failure("invalid_argument", `invalid signal: ${text}`);
}

/** Not to be caught, or this process's own business: its children, its broken pipes, its faults, its timers. */
const OWN = new Set(
  "KILL STOP CHLD PIPE URG SEGV BUS FPE ILL TRAP ABRT IOT PROF WINCH IO POLL SYS STKFLT UNUSED VTALRM ALRM"
    .split(" ")
    .map((name) => `SIG${name}`),
);

/** Until disposed. */
export function forwardSignals(tasks: TaskService, to: ProcessName): Disposable {
  const handlers = Object.entries(constants.signals)
    .filter(([name]) => !OWN.has(name))
    .map(([name, number]): [NodeJS.Signals, () => void] => {
      const forward = () => {
        tasks.kill(to, number, false).catch((thrown: unknown) => {
          if (codeOf(thrown) !== "not_found") log("error", `forward signal ${name}`, sentenceOf(thrown));
        });
      };
      return [name as NodeJS.Signals, forward];
    });
  for (const [name, forward] of handlers) process.on(name, forward);
  return {
    [Symbol.dispose]() {
      for (const [name, forward] of handlers) process.off(name, forward);
    },
  };
}
