// Figures of the unified hierarchy. Names and units are the kernel's (Documentation/admin-guide/cgroup-v2).

import {
  CPUStat,
  type HugeTlbStat,
  IOEntry,
  type MemoryEvents,
  MemoryStat,
  Metrics,
  type PSIData,
  type PSIStats,
} from "../../api/task/gen/cgroups_v2.ts";
import { listDirectory } from "../../linux/fd.ts";
import type { GroupFiles } from "./cgroup-stats.ts";

/** What "max" is in a field of 64 bits. */
const NO_LIMIT = 2n ** 64n - 1n;

export function metricsV2(files: GroupFiles): Metrics {
  return Metrics.create({
    pids: { current: files.number("pids.current"), limit: files.number("pids.max", NO_LIMIT) },
    cpu: CPUStat.create({ ...files.table("cpu.stat"), psi: pressure(files, "cpu.pressure") }),
    memory: MemoryStat.create({
      ...files.table("memory.stat"),
      usage: files.number("memory.current"),
      usageLimit: files.number("memory.max", NO_LIMIT),
      maxUsage: files.number("memory.peak"),
      swapUsage: files.number("memory.swap.current"),
      swapLimit: files.number("memory.swap.max", NO_LIMIT),
      swapMaxUsage: files.number("memory.swap.peak"),
      psi: pressure(files, "memory.pressure"),
    }),
    memoryEvents: files.table("memory.events") as unknown as MemoryEvents,
    io: { usage: devices(files), psi: pressure(files, "io.pressure") },
    hugetlb: hugePages(files),
  });
}

/** "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." */
function devices(files: GroupFiles): IOEntry[] {
  return [...files.text("io.stat").matchAll(/^(\d+):(\d+)(.*)$/gm)].map((line) => {
    const figures: Record<string, bigint> = {};
    for (const [, name, value] of line[3]!.matchAll(/ (\w+)=(\d+)/g)) figures[name!] = BigInt(value!);
    return IOEntry.create({ ...figures, major: BigInt(line[1]!), minor: BigInt(line[2]!) });
  });
}

/** "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same for "full". Null without PSI in the kernel. */
function pressure(files: GroupFiles, name: string): PSIStats | null {
  const text = files.text(name);
  const data = (kind: string): PSIData | null => {
    const match = new Map([...text.matchAll(/^(some|full) (.*)$/gm)].map((line) => [line[1]!, line[2]!])).get(kind);
    if (match === undefined) return null;
    const figures = Object.fromEntries(match.split(" ").map((pair) => pair.split("=") as [string, string]));
    const average = (key: string) => Number(figures[key] ?? 0);
    return {
      avg10: average("avg10"),
      avg60: average("avg60"),
      avg300: average("avg300"),
      total: BigInt(figures["total"] ?? 0),
    };
  };
  return text === "" ? null : { some: data("some"), full: data("full") };
}

function hugePages(files: GroupFiles): HugeTlbStat[] {
  return listDirectory(files.directory).flatMap(({ name }) => {
    const size = /^hugetlb\.([^.]+)\.current$/.exec(name)?.[1];
    if (size === undefined) return [];
    const failcnt = files.table(`hugetlb.${size}.events`)["max"] ?? 0n;
    return [
      { current: files.number(name), max: files.number(`hugetlb.${size}.max`, NO_LIMIT), pagesize: size, failcnt },
    ];
  });
}
