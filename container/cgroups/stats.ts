// What a container used, read from its cgroups, in the shape of `runc events`: members that are zero and that the
// original leaves out then are left out. v1's files are in stats-legacy.ts, v2's in stats-unified.ts.

import { count, hugePageSizes, nonZero, reader } from "./counters.ts";
import { directoryOf } from "./limits.ts";
import { type Cgroups, processesIn } from "./manager.ts";
import * as legacy from "./stats-legacy.ts";
import * as unified from "./stats-unified.ts";

export type Numbers = Record<string, bigint>;

export interface Stats {
  cpu: object;
  cpuset: object;
  memory: object;
  pids: object;
  blkio: object;
  hugetlb: object;
  intel_rdt: object;
  /** The specification knows no interface of which this could tell. */
  network_interfaces: null;
}

export function readStats(cgroups: Cgroups, resctrl: object = {}): Stats {
  const directory = (controller: string) =>
    cgroups.unified ? (cgroups.paths[""] ?? null) : directoryOf(cgroups, controller);
  const read = reader(directory);
  const { cpu, cpuset, memory, blkio, hugetlb } = cgroups.unified ? unified : legacy;
  const counted = directory("pids");
  const current = count(read("pids", "pids.current"));
  const limit = read("pids", "pids.max")?.trim() === "max" ? null : count(read("pids", "pids.max"));
  return {
    cpu: cpu(read),
    cpuset: cpuset(read),
    memory: memory(read),
    pids: nonZero({ current: current ?? BigInt(counted === null ? 0 : processesIn(counted).length), limit }),
    blkio: blkio(read),
    hugetlb: hugetlb(read, hugePageSizes()),
    intel_rdt: resctrl,
    network_interfaces: null,
  };
}
