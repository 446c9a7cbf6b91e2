// Sizes as people write them: memory in binary units, files in decimal ones, as Docker reads each.

import { Failure } from "../../../base/errors.ts";

const LETTERS = "kmgtp";

/** "64m", "1g": units of 1024. "-1" is null. */
export function ramBytes(text: string): number | null {
  return text === "-1" ? null : bytes(text, 1024);
}

/** "10m" is ten million. */
export function decimalBytes(text: string): number {
  return bytes(text, 1000);
}

function bytes(text: string, unit: number): number {
  const match = /^(\d+(?:\.\d*)?|\.\d+) ?([^\d. ]*)$/.exec(text);
  if (match === null) throw new Failure("invalid_argument", `invalid size: '${text}'`);
  const suffix = match[2]!.toLowerCase();
  if (!/^(?:[kmgtp](?:i?b)?|b|)$/.test(suffix)) throw new Failure("invalid_argument", `invalid suffix: '${match[2]}'`);
  return Math.floor(Number(match[1]) * unit ** (LETTERS.indexOf(suffix.charAt(0) || " ") + 1));
}
