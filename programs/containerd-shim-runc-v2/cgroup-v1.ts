// Figures of the v1 controllers. Names and units are the kernel's (Documentation/admin-guide/cgroup-v1).

import {
  type BlkIOEntry,
  BlkIOStat,
  type CPUStat,
  type HugetlbStat,
  type MemoryEntry,
  type MemoryOomControl,
  MemoryStat,
  Metrics,
} from "../../api/task/gen/cgroups_v1.ts";
import { listDirectory } from "../../linux/fd.ts";
import type { GroupFiles } from "./cgroup-stats.ts";

/** USER_HZ is 100 on every machine Linux runs containers on. */
const NANOSECONDS_PER_TICK = 10_000_000n;
/** The kernel runs these words together, the message does not. */
const PAGE_COUNTERS: Readonly<Record<string, string>> = {
  pgpgin: "pgPgIn",
  pgpgout: "pgPgOut",
  pgfault: "pgFault",
  pgmajfault: "pgMajFault",
  totalPgpgin: "totalPgPgIn",
  totalPgpgout: "totalPgPgOut",
  totalPgfault: "totalPgFault",
  totalPgmajfault: "totalPgMajFault",
  hierarchicalMemswLimit: "hierarchicalSwapLimit",
};

export function metricsV1(files: (controller: string) => GroupFiles | null): Metrics {
  const [pids, cpu, cpuacct] = [files("pids"), files("cpu"), files("cpuacct")];
  const [memory, blkio, hugetlb] = [files("memory"), files("blkio"), files("hugetlb")];
  return Metrics.create({
    pids: pids === null ? null : { current: pids.number("pids.current"), limit: pids.number("pids.max") },
    cpu: cpuacct === null ? null : cpuStat(cpu, cpuacct),
    memory: memory === null ? null : memoryStat(memory),
    memoryOomControl: memory === null ? null : (memory.table("memory.oom_control") as unknown as MemoryOomControl),
    blkio: blkio === null ? null : blockStat(blkio),
    hugetlb: hugetlb === null ? [] : hugePages(hugetlb),
  });
}

function cpuStat(cpu: GroupFiles | null, cpuacct: GroupFiles): CPUStat {
  const ticks = cpuacct.table("cpuacct.stat");
  const throttled = cpu?.table("cpu.stat") ?? {};
  const perCpu = cpuacct.text("cpuacct.usage_percpu").trim();
  return {
    usage: {
      total: cpuacct.number("cpuacct.usage"),
      kernel: (ticks["system"] ?? 0n) * NANOSECONDS_PER_TICK,
      user: (ticks["user"] ?? 0n) * NANOSECONDS_PER_TICK,
      perCpu: perCpu === "" ? [] : perCpu.split(" ").map(BigInt),
    },
    throttling: {
      periods: throttled["nrPeriods"] ?? 0n,
      throttledPeriods: throttled["nrThrottled"] ?? 0n,
      throttledTime: throttled["throttledTime"] ?? 0n,
    },
  };
}

function memoryStat(files: GroupFiles): MemoryStat {
  const figures: Record<string, bigint> = {};
  for (const [name, value] of Object.entries(files.table("memory.stat"))) figures[PAGE_COUNTERS[name] ?? name] = value;
  const entry = (prefix: string): MemoryEntry => ({
    limit: files.number(`${prefix}.limit_in_bytes`),
    usage: files.number(`${prefix}.usage_in_bytes`),
    max: files.number(`${prefix}.max_usage_in_bytes`),
    failcnt: files.number(`${prefix}.failcnt`),
  });
  return MemoryStat.create({
    ...figures,
    usage: entry("memory"),
    swap: entry("memory.memsw"),
    kernel: entry("memory.kmem"),
    kernelTcp: entry("memory.kmem.tcp"),
  });
}

function blockStat(files: GroupFiles): BlkIOStat {
  const entries = (name: string): BlkIOEntry[] =>
    [...files.text(name).matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map((match) => ({
      major: BigInt(match[1]!),
      minor: BigInt(match[2]!),
      op: match[3]!,
      device: "",
      value: BigInt(match[4]!),
    }));
  return BlkIOStat.create({
    ioServiceBytesRecursive: entries("blkio.throttle.io_service_bytes_recursive"),
    ioServicedRecursive: entries("blkio.throttle.io_serviced_recursive"),
  });
}

function hugePages(files: GroupFiles): HugetlbStat[] {
  return listDirectory(files.directory).flatMap(({ name }) => {
    const size = /^hugetlb\.([^.]+)\.usage_in_bytes$/.exec(name)?.[1];
    if (size === undefined) return [];
    const usage = files.number(name);
    const max = files.number(`hugetlb.${size}.max_usage_in_bytes`);
    return [{ usage, max, failcnt: files.number(`hugetlb.${size}.failcnt`), pagesize: size }];
  });
}
