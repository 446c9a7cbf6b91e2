// cgroup v1: io.containerd.cgroups.v1.Metrics from the files of the controllers.

import {
  type BlkIOEntry,
  BlkIOStat,
  CPUStat,
  CPUUsage,
  type HugetlbStat,
  MemoryOomControl,
  MemoryStat,
  Metrics,
  PidsStat,
  RdmaStat,
  Throttle,
} from "../../../api/task/gen/cgroups_v1.ts";
import { hugePageSizes } from "../../../container/cgroups/counters.ts";
import { camel, type Group, readGroupFile, readNumber, readTable, toNumber } from "./group.ts";
import { blockDevices, rdmaEntries } from "./stats-parts.ts";

/** Nanoseconds of one tick of cpuacct.stat (USER_HZ is 100 on every Linux). */
const TICK = 10_000_000n;
const NAMES: Readonly<Record<string, string>> = {
  pgpgin: "pg_pg_in",
  pgpgout: "pg_pg_out",
  pgfault: "pg_fault",
  pgmajfault: "pg_maj_fault",
  hierarchical_memsw_limit: "hierarchical_swap_limit",
};

export function metricsV1(group: Group): Metrics {
  return Metrics.create({
    pids: PidsStat.create({
      current: readNumber(group, "pids", "pids.current"),
      limit: readNumber(group, "pids", "pids.max"),
    }),
    cpu: cpu(group),
    memory: memory(group),
    blkio: blkio(group),
    memoryOomControl: oomControl(group),
    hugetlb: hugetlb(group),
    rdma: rdma(group),
  });
}

function cpu(group: Group): CPUStat {
  const ticks = readTable(group, "cpuacct", "cpuacct.stat");
  const perCpu = (readGroupFile(group, "cpuacct", "cpuacct.usage_percpu") ?? "").trim().split(/\s+/).map(toNumber);
  const stat = readTable(group, "cpu", "cpu.stat");
  return CPUStat.create({
    usage: CPUUsage.create({
      total: readNumber(group, "cpuacct", "cpuacct.usage"),
      kernel: (ticks.get("system") ?? 0n) * TICK,
      user: (ticks.get("user") ?? 0n) * TICK,
      perCpu,
    }),
    throttling: Throttle.create({
      periods: stat.get("nr_periods") ?? 0n,
      throttledPeriods: stat.get("nr_throttled") ?? 0n,
      throttledTime: stat.get("throttled_time") ?? 0n,
    }),
  });
}

function memory(group: Group): MemoryStat {
  const stat: Record<string, unknown> = {};
  for (const [key, value] of readTable(group, "memory", "memory.stat")) {
    const total = key.startsWith("total_");
    const name = total ? key.slice("total_".length) : key;
    stat[camel(`${total ? "total_" : ""}${NAMES[name] ?? name}`)] = value;
  }
  const entry = (module: string) => {
    const prefix = module === "" ? "memory" : `memory.${module}`;
    return {
      limit: readNumber(group, "memory", `${prefix}.limit_in_bytes`),
      usage: readNumber(group, "memory", `${prefix}.usage_in_bytes`),
      max: readNumber(group, "memory", `${prefix}.max_usage_in_bytes`),
      failcnt: readNumber(group, "memory", `${prefix}.failcnt`),
    };
  };
  const entries = { usage: entry(""), swap: entry("memsw"), kernel: entry("kmem"), kernelTcp: entry("kmem.tcp") };
  return MemoryStat.create({ ...(stat as Partial<MemoryStat>), ...entries });
}

function oomControl(group: Group): MemoryOomControl {
  const table = readTable(group, "memory", "memory.oom_control");
  return MemoryOomControl.create({
    oomKillDisable: table.get("oom_kill_disable") ?? 0n,
    underOom: table.get("under_oom") ?? 0n,
    oomKill: table.get("oom_kill") ?? 0n,
  });
}

function blkio(group: Group): BlkIOStat {
  return BlkIOStat.create({
    ioServiceBytesRecursive: blockEntries(group, "blkio.throttle.io_service_bytes_recursive"),
    ioServicedRecursive: blockEntries(group, "blkio.throttle.io_serviced_recursive"),
  });
}

function hugetlb(group: Group): HugetlbStat[] {
  if (!group.directories.has("hugetlb")) return [];
  return hugePageSizes().map((pagesize) => {
    const number = (name: string) => readNumber(group, "hugetlb", `hugetlb.${pagesize}.${name}`);
    return { usage: number("usage_in_bytes"), max: number("max_usage_in_bytes"), failcnt: number("failcnt"), pagesize };
  });
}

function rdma(group: Group): RdmaStat | null {
  if (!group.directories.has("rdma")) return null;
  const entries = (name: string) => rdmaEntries(readGroupFile(group, "rdma", name));
  return RdmaStat.create({ current: entries("rdma.current"), limit: entries("rdma.max") });
}

/** Lines of "8:0 Read 4096"; the closing total has no device. */
function blockEntries(group: Group, name: string): BlkIOEntry[] {
  const entries: BlkIOEntry[] = [];
  let devices: Map<string, string> | null = null;
  for (const line of (readGroupFile(group, "blkio", name) ?? "").split("\n")) {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (match === null) continue;
    const [major, minor, value] = [BigInt(match[1]!), BigInt(match[2]!), BigInt(match[4]!)];
    devices ??= blockDevices();
    const device = devices.get(`${match[1]}:${match[2]}`) ?? "";
    entries.push({ op: match[3]!, device, major, minor, value });
  }
  return entries;
}
