// Signals by name or number, as -s, --stop-signal and the kill call give them.

import { Failure } from "../../../base/errors.ts";

const NAMES = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG " +
  "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");
const ALIASES: Readonly<Record<string, number>> = { CLD: 17, IOT: 6, POLL: 29, UNUSED: 31 };
const REALTIME_MIN = 34;
const REALTIME_MAX = 64;

export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= REALTIME_MAX) return number;
    throw new Failure("invalid_argument", `invalid signal: ${text}`);
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const at = NAMES.indexOf(name);
  if (at >= 0) return at + 1;
  const alias = ALIASES[name];
  if (alias !== undefined) return alias;
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime !== null) {
    const base = realtime[1] === "MIN" ? REALTIME_MIN : REALTIME_MAX;
    const number = base + Number(`${realtime[2] ?? "+"}${realtime[3] ?? 0}`);
    if (number >= REALTIME_MIN && number <= REALTIME_MAX) return number;
  }
  throw new Failure("invalid_argument", `invalid signal: ${text}`);
}
