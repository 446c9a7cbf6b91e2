// Times on the command line: seconds, timestamps of several forms, or how long ago. The API wants seconds since 1970,
// with nanoseconds behind a dot.

import { parseGoDuration } from "../../../base/flags/go.ts";

const FORMS =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?)?)?)?(Z|[+-]\d{2}:\d{2})?$/;

/** Throws a plain error with the original's words; `name` is the flag when they name it. */
export function timeArgument(text: string, now: number, name = ""): string {
  if (/^-?\d+(\.\d+)?$/.test(text) && text.length !== 4) return text;
  const ago = durationOf(text);
  if (ago !== null) {
    const nanoseconds = BigInt(Math.trunc(now)) * 1_000_000n - BigInt(ago);
    return secondsAndNanoseconds(nanoseconds / 1_000_000_000n, nanoseconds % 1_000_000_000n);
  }
  const lead = name === "" ? "" : `invalid value for "${name}": `;
  const match = FORMS.exec(text);
  if (match === null) throw new Error(`${lead}failed to parse value as time or duration: ${JSON.stringify(text)}`);
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const clock = [hour, minute, second].map((part) => part ?? "00").join(":");
  const iso = `${year}-${month ?? "01"}-${day ?? "01"}T${clock}${zone ?? "Z"}`;
  const milliseconds = Date.parse(iso);
  if (Number.isNaN(milliseconds)) throw new Error(`${lead}parsing time ${JSON.stringify(text)}`);
  return secondsAndNanoseconds(BigInt(milliseconds) / 1000n, BigInt((fraction ?? "").padEnd(9, "0") || "0"));
}

function secondsAndNanoseconds(seconds: bigint, nanoseconds: bigint): string {
  return `${seconds}.${String(nanoseconds).padStart(9, "0")}`;
}

function durationOf(text: string): number | null {
  try {
    return parseGoDuration(text);
  } catch {
    return null;
  }
}
