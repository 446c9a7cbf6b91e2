// Use of resources on cgroup v2, for stats.ts, told in v1's terms as the original does: swap includes memory, and bytes
// and operations of block devices are tables of their own.

import { count, NO_LIMIT, nonZero, pressure, type ReadFile, sorted, table } from "./counters.ts";

const NANOSECONDS_PER_MICROSECOND = 1000n;

export function cpu(read: ReadFile): object {
  const stat = table(read("", "cpu.stat"));
  const wide = (name: string) => (stat[name] ?? 0n) * NANOSECONDS_PER_MICROSECOND;
  return {
    usage: { ...nonZero({ total: wide("usage_usec") }), kernel: wide("system_usec"), user: wide("user_usec") },
    throttling: nonZero({
      periods: stat["nr_periods"] ?? 0n,
      throttledPeriods: stat["nr_throttled"] ?? 0n,
      throttledTime: wide("throttled_usec"),
    }),
    ...pressure(read("", "cpu.pressure")),
  };
}

/** v2 has no such numbers; the original shows its zeros. */
export function cpuset(_read: ReadFile): object {
  const names = [
    ...["cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page"],
    ...["memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"],
  ];
  return Object.fromEntries(names.map((name) => [name, 0n]));
}

export function memory(read: ReadFile): object {
  const value = (name: string) => count(read("", name));
  const raw = sorted(table(read("", "memory.stat")));
  const usage = value("memory.current") ?? 0n;
  const limit = value("memory.max") ?? 0n;
  const swap = value("memory.swap.current");
  const swapLimit = value("memory.swap.max") ?? 0n;
  const both = swapLimit === NO_LIMIT || limit === NO_LIMIT ? NO_LIMIT : swapLimit + limit;
  return {
    ...nonZero({ cache: raw["file"] ?? 0n }),
    usage: { limit, ...nonZero({ usage, max: value("memory.peak") }), failcnt: 0n },
    swap: { limit: both, ...nonZero({ usage: (swap ?? 0n) + usage }), failcnt: 0n },
    ...{ kernel: { limit: 0n, failcnt: 0n }, kernelTCP: { limit: 0n, failcnt: 0n } },
    ...(Object.keys(raw).length > 0 ? { raw } : {}),
    ...pressure(read("", "memory.pressure")),
  };
}

const OPERATIONS: Readonly<Record<string, readonly [member: string, op: string]>> = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
};

/** io.stat: "8:0 rbytes=1 wbytes=2 rios=3 …" */
export function blkio(read: ReadFile): object {
  const tables: Record<string, object[]> = {};
  for (const [, major, minor, rest] of (read("", "io.stat") ?? "").matchAll(/^(\d+):(\d+) (.*)$/gm)) {
    const device = nonZero({ major: BigInt(major!), minor: BigInt(minor!) });
    for (const [, name, value] of rest!.matchAll(/(\S+)=(\d+)/g)) {
      const [member, op] = OPERATIONS[name!] ?? [];
      if (member === undefined) continue;
      tables[member] ??= [];
      tables[member].push({ ...device, op, ...nonZero({ value: BigInt(value!) }) });
    }
  }
  return { ...tables, ...pressure(read("", "io.pressure")) };
}

export function hugetlb(read: ReadFile, sizes: readonly string[]): object {
  const used: Record<string, object> = {};
  for (const size of sizes) {
    const usage = count(read("", `hugetlb.${size}.rsvd.current`)) ?? count(read("", `hugetlb.${size}.current`));
    if (usage === null) continue;
    used[size] = { ...nonZero({ usage }), failcnt: table(read("", `hugetlb.${size}.events`))["max"] ?? 0n };
  }
  return used;
}
