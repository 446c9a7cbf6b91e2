// Use of resources on cgroup v1, for stats.ts.

import { count, nonZero, numbersIn, type ReadFile, sorted, table } from "./counters.ts";
import type { Numbers } from "./stats.ts";

const NANOSECONDS_PER_TICK = 10_000_000n;

export function cpu(read: ReadFile): object {
  const ticks = table(read("cpuacct", "cpuacct.stat"));
  const throttled = table(read("cpu", "cpu.stat"));
  const percpu = columns(read("cpuacct", "cpuacct.usage_percpu"));
  // cpu user system
  const modes = (read("cpuacct", "cpuacct.usage_all") ?? "").split("\n").slice(1).map(columns);
  const mode = (column: number) => modes.flatMap((line) => line[column] ?? []);
  const total = nonZero({ total: count(read("cpuacct", "cpuacct.usage")) });
  const lists = { percpu: percpu, percpu_kernel: mode(2), percpu_user: mode(1) };
  return {
    usage: {
      ...total,
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
      kernel: (ticks["system"] ?? 0n) * NANOSECONDS_PER_TICK,
      user: (ticks["user"] ?? 0n) * NANOSECONDS_PER_TICK,
    },
    throttling: nonZero({
      periods: throttled["nr_periods"] ?? 0n,
      throttledPeriods: throttled["nr_throttled"] ?? 0n,
      throttledTime: throttled["throttled_time"] ?? 0n,
    }),
  };
}

function columns(line: string | null): bigint[] {
  return (line ?? "").trim().split(" ").filter(Boolean).map(BigInt);
}

const CPUSET_FLAGS = [
  ...["mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab"],
  ...["memory_pressure", "sched_load_balance", "sched_relax_domain_level"],
];

export function cpuset(read: ReadFile): object {
  const value = (name: string) => read("cpuset", `cpuset.${name}`);
  const flag = (name: string): Numbers => ({ [name]: count(value(name)) ?? 0n });
  const list = (name: string) => {
    const numbers = numbersIn(value(name));
    return numbers.length === 0 ? {} : { [name]: numbers };
  };
  const flags = Object.assign({}, ...CPUSET_FLAGS.map(flag)) as Numbers;
  return { ...list("cpus"), ...flag("cpu_exclusive"), ...list("mems"), ...flags };
}

export function memory(read: ReadFile): object {
  const use = (prefix: string) => {
    const value = (name: string) => count(read("memory", `${prefix}.${name}`));
    return {
      limit: value("limit_in_bytes") ?? 0n,
      ...nonZero({ usage: value("usage_in_bytes"), max: value("max_usage_in_bytes") }),
      failcnt: value("failcnt") ?? 0n,
    };
  };
  const raw = sorted(table(read("memory", "memory.stat")));
  return {
    ...nonZero({ cache: raw["cache"] ?? 0n }),
    ...{
      usage: use("memory"),
      swap: use("memory.memsw"),
      kernel: use("memory.kmem"),
      kernelTCP: use("memory.kmem.tcp"),
    },
    ...(Object.keys(raw).length > 0 ? { raw } : {}),
  };
}

/** Files of the block controller and where their numbers go. Which of them exist depends on the scheduler and on how
 *  the kernel was built: the first set whose first file has something is the one. */
const BLOCK_SETS: readonly (readonly (readonly [file: string, member: string])[])[] = [
  scheduler("blkio.bfq."),
  [
    ["blkio.bfq.io_serviced_recursive", "ioServicedRecursive"],
    ["blkio.bfq.io_service_bytes_recursive", "ioServiceBytesRecursive"],
  ],
  scheduler("blkio."),
  [
    ["blkio.throttle.io_serviced_recursive", "ioServicedRecursive"],
    ["blkio.throttle.io_service_bytes_recursive", "ioServiceBytesRecursive"],
  ],
  [
    ["blkio.throttle.io_serviced", "ioServicedRecursive"],
    ["blkio.throttle.io_service_bytes", "ioServiceBytesRecursive"],
  ],
];

function scheduler(prefix: string): (readonly [string, string])[] {
  return [
    [`${prefix}sectors_recursive`, "sectorsRecursive"],
    [`${prefix}io_service_time_recursive`, "ioServiceTimeRecursive"],
    [`${prefix}io_wait_time_recursive`, "ioWaitTimeRecursive"],
    [`${prefix}io_merged_recursive`, "ioMergedRecursive"],
    [`${prefix}io_queued_recursive`, "ioQueueRecursive"],
    [`${prefix}time_recursive`, "ioTimeRecursive"],
    [`${prefix}io_serviced_recursive`, "ioServicedRecursive"],
    [`${prefix}io_service_bytes_recursive`, "ioServiceBytesRecursive"],
  ];
}

export function blkio(read: ReadFile): object {
  for (const set of BLOCK_SETS) {
    const found = set.map(([file, member]) => [member, entries(read("blkio", file))] as const);
    if (found[0]![1].length === 0) continue;
    return Object.fromEntries(found.filter(([, list]) => list.length > 0));
  }
  return {};
}

/** "8:0 Read 4096", or "8:0 4096" without a kind; the line with the sum of all has no device. */
function entries(text: string | null): object[] {
  return [...(text ?? "").matchAll(/^(\d+):(\d+) (?:(\w+) )?(\d+)$/gm)].map(([, major, minor, op, value]) => ({
    ...nonZero({ major: BigInt(major!), minor: BigInt(minor!) }),
    ...(op === undefined ? {} : { op }),
    ...nonZero({ value: BigInt(value!) }),
  }));
}

export function hugetlb(read: ReadFile, sizes: readonly string[]): object {
  const used: Record<string, object> = {};
  for (const size of sizes) {
    // Reservations count, where the kernel counts them (5.7).
    for (const prefix of [`hugetlb.${size}.rsvd`, `hugetlb.${size}`]) {
      const value = (name: string) => count(read("hugetlb", `${prefix}.${name}`));
      const usage = value("usage_in_bytes");
      if (usage === null) continue;
      used[size] = { ...nonZero({ usage, max: value("max_usage_in_bytes") }), failcnt: value("failcnt") ?? 0n };
      break;
    }
  }
  return used;
}
