// How the kernel writes numbers into control files, read back: single ones, tables, lists of processors, pressure.

import { ENOENT, errnoOf } from "../../linux/errno.ts";
import { listDirectory, readTextIfThere } from "../../linux/fd.ts";

/** A file of one controller's directory; null when either is missing. */
export type ReadFile = (controller: string, file: string) => string | null;

/** What the originals write for a number too large to be a limit. */
export const NO_LIMIT = 2n ** 64n - 1n;

/** Null for a file that is not there; "max" is the largest number. */
export function count(text: string | null): bigint | null {
  const clean = text?.trim() ?? "";
  if (clean === "max") return NO_LIMIT;
  return /^-?\d+$/.test(clean) ? BigInt(clean) : null;
}

/** Lines of "name number". */
export function table(text: string | null): Record<string, bigint> {
  const values: Record<string, bigint> = {};
  for (const line of (text ?? "").split("\n")) {
    const [name, value] = line.split(" ");
    if (name !== undefined && value !== undefined && /^\d+$/.test(value)) values[name] = BigInt(value);
  }
  return values;
}

/** "0-2,5" as [0, 1, 2, 5]. */
export function numbersIn(text: string | null): number[] {
  const numbers: number[] = [];
  for (const [, from, to] of (text ?? "").matchAll(/(\d+)(?:-(\d+))?/g)) {
    for (let at = Number(from); at <= Number(to ?? from); at++) numbers.push(at);
  }
  return numbers;
}

/** Without those that are zero. */
export function nonZero(values: Readonly<Record<string, bigint | null>>): Record<string, bigint> {
  const some: Record<string, bigint> = {};
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== 0n) some[name] = value;
  return some;
}

/** In the order of their names. */
export function sorted<Value>(values: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface Pressure {
  avg10: number;
  avg60: number;
  avg300: number;
  total: bigint;
}

/** A `*.pressure` file as a member "psi"; no member where the kernel keeps none. */
export function pressure(text: string | null): { psi?: Record<string, Pressure> } {
  const psi: Record<string, Pressure> = {};
  for (const [, kind, rest] of (text ?? "").matchAll(/^(some|full) (.*)$/gm)) {
    const words = new Map(rest!.split(" ").map((word) => word.split("=") as [string, string]));
    const average = (name: string) => Number(words.get(name) ?? 0);
    psi[kind!] = {
      ...{ avg10: average("avg10"), avg60: average("avg60"), avg300: average("avg300") },
      total: BigInt(words.get("total") ?? 0),
    };
  }
  return Object.keys(psi).length === 0 ? {} : { psi };
}

const HUGE_PAGES = "/sys/kernel/mm/hugepages";

/** This machine's sizes of huge pages as control files name them, smallest first: "64KB", "2MB", "1GB". */
export function hugePageSizes(): string[] {
  try {
    return hugePageSizesOf(listDirectory(HUGE_PAGES).map(({ name }) => name));
  } catch (thrown) {
    if (errnoOf(thrown) === ENOENT) return [];
    throw thrown;
  }
}

export function hugePageSizesOf(names: readonly string[]): string[] {
  const sizes = names.map((name) => Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]));
  const known = sizes.filter((size) => !Number.isNaN(size));
  return known.sort((one, other) => one - other).map(sizeName);
}

function sizeName(kilobytes: number): string {
  if (kilobytes >= 1 << 20) return `${kilobytes / (1 << 20)}GB`;
  return kilobytes >= 1 << 10 ? `${kilobytes / (1 << 10)}MB` : `${kilobytes}KB`;
}

export function reader(directoryOf: (controller: string) => string | null): ReadFile {
  return (controller, file) => {
    const directory = directoryOf(controller);
    return directory === null ? null : readTextIfThere(`${directory}/${file}`);
  };
}
