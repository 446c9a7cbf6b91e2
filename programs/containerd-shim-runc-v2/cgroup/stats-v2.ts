// cgroup v2: io.containerd.cgroups.v2.Metrics from the files of the one directory.

import {
  CPUStat,
  type HugeTlbStat,
  type IOEntry,
  IOStat,
  MemoryEvents,
  MemoryStat,
  Metrics,
  PidsStat,
  type PSIStats,
  RdmaStat,
} from "../../../api/task/gen/cgroups_v2.ts";
import { hugePageSizes } from "../../../container/cgroups/counters.ts";
import { camel, type Group, readGroupFile, readNumber, readTable, toNumber } from "./group.ts";
import { pressure, rdmaEntries } from "./stats-parts.ts";

/** What a limit of "max" is in the message. */
const NO_LIMIT = 2n ** 64n - 1n;

export function metricsV2(group: Group): Metrics {
  return Metrics.create({
    pids: PidsStat.create({
      current: readNumber(group, "", "pids.current"),
      limit: limit(group, "pids.max"),
    }),
    cpu: CPUStat.create({ ...fields(group, "cpu.stat"), psi: psi(group, "cpu") }),
    memory: memory(group),
    io: IOStat.create({ usage: devices(group), psi: psi(group, "io") }),
    memoryEvents: memoryEvents(group),
    rdma: RdmaStat.create({ current: rdma(group, "rdma.current"), limit: rdma(group, "rdma.max") }),
    hugetlb: hugePageSizes().map((size) => hugetlb(group, size)),
  });
}

function limit(group: Group, name: string): bigint {
  const text = readGroupFile(group, "", name) ?? "0";
  return text.trim() === "max" ? NO_LIMIT : toNumber(text);
}

function psi(group: Group, resource: string): PSIStats | null {
  return pressure(readGroupFile(group, "", `${resource}.pressure`));
}

function rdma(group: Group, name: string) {
  return rdmaEntries(readGroupFile(group, "", name));
}

function hugetlb(group: Group, pagesize: string): HugeTlbStat {
  const failcnt = readTable(group, "", `hugetlb.${pagesize}.events`).get("max") ?? 0n;
  const current = readNumber(group, "", `hugetlb.${pagesize}.current`);
  return { current, max: limit(group, `hugetlb.${pagesize}.max`), pagesize, failcnt };
}

function memoryEvents(group: Group): MemoryEvents | null {
  const events = fields(group, "memory.events");
  return Object.keys(events).length === 0 ? null : MemoryEvents.create(events);
}

/** Every line of "name value" under the name the message has for it. */
function fields(group: Group, name: string): Record<string, bigint> {
  const named: Record<string, bigint> = {};
  for (const [key, value] of readTable(group, "", name)) named[camel(key)] = value;
  return named;
}

function memory(group: Group): MemoryStat {
  return MemoryStat.create({
    ...fields(group, "memory.stat"),
    usage: readNumber(group, "", "memory.current"),
    usageLimit: limit(group, "memory.max"),
    maxUsage: readNumber(group, "", "memory.peak"),
    swapUsage: readNumber(group, "", "memory.swap.current"),
    swapLimit: limit(group, "memory.swap.max"),
    swapMaxUsage: readNumber(group, "", "memory.swap.peak"),
    psi: psi(group, "memory"),
  });
}

/** Lines of "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …". */
function devices(group: Group): IOEntry[] {
  const entries: IOEntry[] = [];
  for (const line of (readGroupFile(group, "", "io.stat") ?? "").split("\n")) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (match === null) continue;
    const values = new Map(match[3]!.split(" ").map((pair) => pair.split("=") as [string, string]));
    const value = (name: string) => toNumber(values.get(name) ?? "");
    const [major, minor] = [BigInt(match[1]!), BigInt(match[2]!)];
    entries.push({
      ...{ major, minor, rbytes: value("rbytes"), wbytes: value("wbytes") },
      ...{ rios: value("rios"), wios: value("wios") },
    });
  }
  return entries;
}
