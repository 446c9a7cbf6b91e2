// Lines of the original's logger on stderr: what went wrong with one of several, while the others go on.

import { quote } from "../../../base/flags/go.ts";

export type Level = "info" | "warning" | "error";

export function log(level: Level, message: string, error: string | null = null): void {
  const detail = error === null ? "" : ` error=${word(error)}`;
  process.stderr.write(`time="${localTime(new Date())}" level=${level} msg=${word(message)}${detail}\n`);
}

function word(text: string): string {
  return /^[A-Za-z0-9._/@^+-]+$/.test(text) ? text : quote(text);
}

/** RFC 3339 in the local zone, whole seconds. */
export function localTime(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, 19);
  if (minutes === 0) return `${local}Z`;
  const two = (number: number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
  return `${local}${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(Math.abs(minutes) % 60)}`;
}
