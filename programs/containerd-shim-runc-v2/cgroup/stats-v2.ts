// cgroup v2: io.containerd.cgroups.v2.Metrics from the files of the one directory.

import {
  CPUStat,
  type IOEntry,
  IOStat,
  MemoryEvents,
  MemoryStat,
  Metrics,
  PidsStat,
} from "../../../api/task/gen/cgroups_v2.ts";
import { camel, type Group, readGroupFile, readNumber, readTable, toNumber } from "./group.ts";

/** What a limit of "max" is in the message. */
const NO_LIMIT = 2n ** 64n - 1n;

export function metricsV2(group: Group): Metrics {
  return Metrics.create({
    pids: PidsStat.create({
      current: readNumber(group, "", "pids.current"),
      limit: readNumber(group, "", "pids.max"),
    }),
    cpu: CPUStat.create(fields(group, "cpu.stat")),
    memory: memory(group),
    io: IOStat.create({ usage: devices(group) }),
    memoryEvents: MemoryEvents.create(fields(group, "memory.events")),
  });
}

/** Every line of "name value" under the name the message has for it. */
function fields(group: Group, name: string): Record<string, bigint> {
  const named: Record<string, bigint> = {};
  for (const [key, value] of readTable(group, "", name)) named[camel(key)] = value;
  return named;
}

function memory(group: Group): MemoryStat {
  const limit = (name: string) => {
    const text = readGroupFile(group, "", name) ?? "0";
    return text.trim() === "max" ? NO_LIMIT : toNumber(text);
  };
  return MemoryStat.create({
    ...fields(group, "memory.stat"),
    usage: readNumber(group, "", "memory.current"),
    usageLimit: limit("memory.max"),
    maxUsage: readNumber(group, "", "memory.peak"),
    swapUsage: readNumber(group, "", "memory.swap.current"),
    swapLimit: limit("memory.swap.max"),
    swapMaxUsage: readNumber(group, "", "memory.swap.peak"),
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
