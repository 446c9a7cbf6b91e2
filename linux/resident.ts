// Memory given back by a program that rests for long: pages of its file that it only read (code, constants, what a
// heap image has in common with the file), which the kernel gets again from the page cache when they are needed, and
// the part of the stack that a deep call once used. What it wrote itself stays.
//
// Nothing of the machine's memory is saved by dropping pages that others share; but they count as this process's own
// wherever sizes are added up or limits are looked at, and their page tables go with them.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import * as fd from "./fd.ts";
import { SYS_madvise, SYS_pread64 } from "./numbers.ts";

const MADV_DONTNEED = 4;
const PAGE = 4096;
/** Bytes of /proc/self/maps: a line for each mapping, of which these programs have some twenty. */
const MAPS_LIMIT = 64 << 10;
/** Pages looked at in one mapping; a longer one is left as it is. */
const PAGES_LIMIT = 16 << 10;
/** Bytes of the stack below here that are kept for the calls that follow. */
const STACK_MARGIN = 16 << 10;

// Documentation/admin-guide/mm/pagemap.rst: bits 61 (of a file, or shared), 62 (in swap) and 63 (present), here of the
// upper half.
const FILE_PAGE = 1 << 29;
const SWAPPED = 1 << 30;
const PRESENT = 1 << 31;

interface Range {
  start: number;
  length: number;
}

/** Frees objects that only refer to each other, and gives the system calls (Door.syscalls) that give memory back. They
 *  are for the last moment before a wait: code that ran after them would need what they gave back. None where /proc is
 *  not what it should be. */
export function givingBackMemory(): bigint[] {
  const stack = door().collect();
  try {
    const words = unneeded(stack - STACK_MARGIN).flatMap(({ start, length }) => {
      return [SYS_madvise, start, length, MADV_DONTNEED, 0, 0, 0];
    });
    return words.map(BigInt);
  } catch {
    return [];
  }
}

function unneeded(stack: number): Range[] {
  const ranges: Range[] = [];
  using pagemap = fd.open("/proc/self/pagemap", fd.O_RDONLY);
  for (const line of fd.readText("/proc/self/maps", MAPS_LIMIT).split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+) *(.*)$/.exec(line);
    if (match === null) continue;
    const [start, end] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
    if (match[3] !== "0") ranges.push(...filePages(pagemap.number, start, end));
    else if (match[4] === "[stack]") ranges.push({ start, length: Math.floor((stack - start) / PAGE) * PAGE });
  }
  return ranges;
}

function filePages(pagemap: number, start: number, end: number): Range[] {
  const ranges: Range[] = [];
  const pages = (end - start) / PAGE;
  if (pages > PAGES_LIMIT) return ranges;
  const entries = new Uint8Array(pages * 8);
  const got = must(
    "read",
    "pagemap",
    door().syscall(SYS_pread64, pagemap, entries, entries.length, (start / PAGE) * 8),
  );
  const words = new Int32Array(entries.buffer, 0, got >> 2);
  let first = -1;
  for (let page = 0; page <= words.length / 2; page++) {
    const upper = page * 2 < words.length ? words[page * 2 + 1]! : SWAPPED;
    const foreign = (upper & SWAPPED) !== 0 || ((upper & PRESENT) !== 0 && (upper & FILE_PAGE) === 0);
    if (!foreign && (upper & PRESENT) !== 0 && first < 0) first = page;
    if (!foreign || first < 0) continue;
    ranges.push({ start: start + first * PAGE, length: (page - first) * PAGE });
    first = -1;
  }
  return ranges;
}
