// Lists of processors or memory nodes, "0-3,7", as config.json has them, and as the bit masks that the kernel takes.

import { Failure } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";

/** Larger than any machine's; numbers from here on are refused as mistakes. */
const NUMBER_LIMIT = 64 << 10;

function refuse(text: string, why: string): never {
  throw new Failure("invalid_argument", `${why} in set ${quote(text)}`);
}

/** Empty for an empty text. */
export function parseRanges(text: string): number[] {
  if (text === "") return [];
  const numbers = new Set<number>();
  for (const part of text.split(",").map((word) => word.trim())) {
    if (part === "") continue;
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (from === undefined) refuse(text, `invalid range ${quote(part)}`);
    const [first, last] = [Number(from), Number(to ?? from)];
    if (first > last || last >= NUMBER_LIMIT) refuse(text, `invalid range ${quote(part)}`);
    for (let at = first; at <= last; at++) numbers.add(at);
  }
  if (numbers.size === 0) throw new Failure("invalid_argument", `no members found in set ${quote(text)}`);
  return [...numbers].sort((a, b) => a - b);
}

/** Whole words of 64 bits, as set_mempolicy and sched_setaffinity want them. */
export function maskOf(numbers: readonly number[]): Uint8Array<ArrayBuffer> {
  const words = Math.floor(Math.max(0, ...numbers) / 64) + 1;
  const mask = new Uint8Array(words * 8);
  for (const at of numbers) mask[at >> 3]! |= 1 << (at & 7);
  return mask;
}
