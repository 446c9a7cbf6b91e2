// `runc update`: limits from flags, or as linux.resources from a file or standard input (then the flags do not count).

import { Failure } from "../../../base/errors.ts";
import { BadValue, parseGoInt, parseGoUint } from "../../../base/flags/go.ts";
import type { Json } from "../../../base/json.ts";
import { updateSchemata } from "../../../container/resctrl.ts";
import { readResources } from "../../../container/spec/schema.ts";
import { loadContainer } from "../../../container/state.ts";
import { resourcesFrom, updateContainer } from "../../../container/update.ts";
import type { Command, Line } from "../command.ts";
import type { Log } from "../log.ts";

/** Counts are numbers to the flag parser itself; sizes take units; text stays text. */
type Kind = "count" | "signed" | "unsigned" | "size" | "text";

/** Flag name, place in linux.resources, what it is. */
const FLAGS: readonly (readonly [name: string, place: string, kind: Kind, usage: string])[] = [
  ["blkio-weight", "blockIO.weight", "count", "Specifies per cgroup weight, range is from 10 to 1000"],
  ["cpu-period", "cpu.period", "unsigned", "CPU CFS period to be used for hardcapping (in usecs)"],
  ["cpu-quota", "cpu.quota", "signed", "CPU CFS hardcap limit (in usecs)"],
  ["cpu-burst", "cpu.burst", "unsigned", "CPU CFS hardcap burst limit (in usecs)"],
  ["cpu-share", "cpu.shares", "unsigned", "CPU shares (relative weight vs. other containers)"],
  ["cpu-rt-period", "cpu.realtimePeriod", "unsigned", "CPU realtime period to be used for hardcapping (in usecs)"],
  ["cpu-rt-runtime", "cpu.realtimeRuntime", "signed", "CPU realtime hardcap limit (in usecs)"],
  ["cpuset-cpus", "cpu.cpus", "text", "CPU(s) to use"],
  ["cpuset-mems", "cpu.mems", "text", "Memory node(s) to use"],
  ["cpu-idle", "cpu.idle", "signed", "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"],
  ["memory", "memory.limit", "size", "Memory limit (in bytes)"],
  ["memory-reservation", "memory.reservation", "size", "Memory reservation or soft_limit (in bytes)"],
  ["memory-swap", "memory.swap", "size", "Total memory usage (memory + swap); set '-1' to enable unlimited swap"],
  ["pids-limit", "pids.limit", "count", "Maximum number of pids allowed in the container"],
];

export const update: Command = {
  name: "update",
  arguments: "<container-id>",
  summary: "update container resource constraints",
  run(line, { root, log }) {
    const file = line.flags.string("resources", "r", "path to the file containing the resources to update or '-'");
    const given = resourceFlags(line, log);
    const [id] = line.parse(1, 1);
    const container = loadContainer(root, id!);
    const { resources, resctrl } = given();
    updateContainer(container, file.value === "" ? readResources(resources, "resources") : resourcesFrom(file.value));
    if (resctrl !== null) updateSchemata(container.record.intel_rdt_path, resctrl);
    return 0;
  },
};

interface GivenLimits {
  resources: Json;
  /** Null when neither of its flags was given. */
  resctrl: { l3CacheSchema: string; memBwSchema: string } | null;
}

function resourceFlags({ flags }: Line, log: Log): () => GivenLimits {
  const all = FLAGS.map(([name, place, kind, usage]) => {
    const flag = kind === "count" ? flags.int(name, "", usage) : flags.string(name, "", usage);
    return { name, place, kind, flag };
  });
  const obsolete = ["kernel-memory", "kernel-memory-tcp"].map((name) =>
    flags.string(name, "", "(obsolete; do not use)"),
  );
  const cache = flags.string("l3-cache-schema", "", "The string of Intel RDT/CAT L3 cache schema");
  const bandwidth = flags.string("mem-bw-schema", "", "The string of Intel RDT/MBA memory bandwidth schema");
  return () => {
    if (obsolete.some((flag) => flag.value !== "")) log.warn("Kernel memory settings are ignored and will be removed");
    const resources: { [group: string]: { [field: string]: Json } } = {};
    for (const { name, place, kind, flag } of all) {
      if (!flag.changed || flag.value === "") continue;
      const [group, field] = place.split(".") as [string, string];
      resources[group] ??= {};
      const { value } = flag;
      resources[group][field] = typeof value === "number" || kind === "text" ? value : numberOf(name, kind, value);
    }
    const some = cache.value !== "" || bandwidth.value !== "";
    return { resources, resctrl: some ? { l3CacheSchema: cache.value, memBwSchema: bandwidth.value } : null };
  };
}

const UNITS = "bkmgtp";
const UNIT_STEP = 1024n;

function numberOf(name: string, kind: Kind, text: string): Json {
  const size = kind === "size" ? /^(\d+)([bkmgtp])?(?:i?b)?$/i.exec(text) : null;
  if (size !== null) return BigInt(size[1]!) * UNIT_STEP ** BigInt(UNITS.indexOf((size[2] ?? "b").toLowerCase()));
  if (kind === "size" && text !== "-1") throw invalid(name, `invalid size: '${text}'`);
  try {
    return kind === "unsigned" ? parseGoUint(text) : parseGoInt(text);
  } catch (thrown) {
    if (thrown instanceof BadValue) throw invalid(name, thrown.message);
    throw thrown;
  }
}

function invalid(name: string, reason: string): Failure {
  return new Failure("invalid_argument", `invalid value for ${name}: ${reason}`);
}
