// What a process uses, as the kernel accounts it: memory in kB, processor time in seconds.

import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks of a second (USER_HZ). */
const TICKS = 100;

export interface Memory {
  rss: number;
  pss: number;
  private: number;
  threads: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? 0);
  return {
    rss: field("Rss"),
    pss: field("Pss"),
    private: field("Private_Clean") + field("Private_Dirty"),
    threads: readdirSync(`/proc/${pid}/task`).length,
  };
}

/** The parent of a process: for a container's first process, its shim. */
export function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** In user and kernel, of all its threads. */
export function processorTime(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Fields of /proc/<pid>/stat from the third on. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Of several processes together. */
export function sum(list: readonly Memory[]): Memory {
  const total = { rss: 0, pss: 0, private: 0, threads: 0 };
  for (const one of list) {
    total.rss += one.rss;
    total.pss += one.pss;
    total.private += one.private;
    total.threads += one.threads;
  }
  return total;
}
