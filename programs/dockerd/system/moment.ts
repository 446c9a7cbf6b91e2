// Moments as clients give them for since and until: seconds since 1970 with a fraction, a duration back from now, or a
// date. In nanoseconds.

import { Failure } from "../../../base/errors.ts";

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `now` in milliseconds since 1970. */
export function parseMoment(text: string, now: number): bigint {
  const seconds = /^(-?\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds !== null) {
    return BigInt(seconds[1]!) * 1_000_000_000n + BigInt((seconds[2] ?? "").padEnd(9, "0"));
  }
  if (/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    let total = 0;
    for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
      total += Number(amount) * UNITS[unit!]!;
    }
    return BigInt(now) * 1_000_000n - BigInt(Math.round(total));
  }
  const date = /^\d{4}-\d{2}-\d{2}(T\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?(Z|[+-]\d{2}:\d{2})?$/.test(text);
  const parsed = date
    ? Date.parse(/^\d{4}-\d{2}-\d{2}T\d{2}(Z|$)/.test(text) ? text.replace(/T(\d{2})/, "T$1:00") : text)
    : Number.NaN;
  if (Number.isNaN(parsed)) throw new Failure("invalid_argument", `invalid value for "since" or "until": ${text}`);
  return nanosecondsOf(text) ?? BigInt(parsed) * 1_000_000n;
}

/** A full RFC 3339 time to the nanosecond; null for other forms. */
export function nanosecondsOf(text: string): bigint | null {
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9})\d*)?(Z|[+-]\d{2}:\d{2})$/.exec(text);
  if (match === null) return null;
  const whole = Date.parse(`${match[1]}${match[3]}`);
  return Number.isNaN(whole) ? null : BigInt(whole) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}
