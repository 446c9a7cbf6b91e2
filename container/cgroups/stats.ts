// What a container used, read from its cgroups, in the shape of `runc events`. What a controller does not say is left
// out.

import { readTextIfThere } from "../../linux/fd.ts";
import { directoryOf } from "./limits.ts";
import { type Cgroups, processesIn } from "./manager.ts";

export interface Stats {
  cpu: {
    usage: { total: bigint; percpu: bigint[]; kernel: bigint; user: bigint };
    throttling: { periods?: bigint; throttledPeriods?: bigint; throttledTime?: bigint };
  };
  memory: { usage: MemoryUse; swap: MemoryUse; kernel: MemoryUse; raw: Record<string, bigint> };
  pids: { current: bigint; limit?: bigint };
  blkio: { ioServiceBytesRecursive?: BlockEntry[]; ioServicedRecursive?: BlockEntry[] };
  hugetlb: Record<string, never>;
  intel_rdt: Record<string, never>;
  network_interfaces: null;
}

interface MemoryUse {
  limit: bigint;
  usage: bigint;
  max: bigint;
  failcnt: bigint;
}

interface BlockEntry {
  major: number;
  minor: number;
  op: string;
  value: bigint;
}

const NANOSECONDS_PER_TICK = 10_000_000n;
const NANOSECONDS_PER_MICROSECOND = 1000n;

export function readStats(cgroups: Cgroups): Stats {
  const unified = cgroups.unified ? cgroups.paths[""]! : null;
  const read = (controller: string, file: string) => {
    const directory = unified ?? directoryOf(cgroups, controller);
    return directory === null ? null : readTextIfThere(`${directory}/${file}`);
  };
  const pids = count(read("pids", "pids.current"));
  const limit = read("pids", "pids.max")?.trim();
  const counted = unified ?? directoryOf(cgroups, "pids");
  return {
    cpu: unified === null ? cpuLegacy(read) : cpuUnified(table(read("", "cpu.stat"))),
    memory: unified === null ? memoryLegacy(read) : memoryUnified(read),
    pids: {
      current: pids ?? BigInt(counted === null ? 0 : processesIn(counted).length),
      ...(limit === undefined || limit === "max" || limit === "" ? {} : { limit: BigInt(limit) }),
    },
    blkio: unified === null ? blockLegacy(read) : {},
    hugetlb: {},
    intel_rdt: {},
    network_interfaces: null,
  };
}

type ReadFile = (controller: string, file: string) => string | null;

function count(text: string | null): bigint | null {
  const clean = text?.trim() ?? "";
  return /^\d+$/.test(clean) ? BigInt(clean) : null;
}

/** Lines of "name number". */
function table(text: string | null): Record<string, bigint> {
  const values: Record<string, bigint> = {};
  for (const line of (text ?? "").split("\n")) {
    const [name, value] = line.split(" ");
    if (name !== undefined && value !== undefined && /^\d+$/.test(value)) values[name] = BigInt(value);
  }
  return values;
}

function cpuLegacy(read: ReadFile): Stats["cpu"] {
  const ticks = table(read("cpuacct", "cpuacct.stat"));
  const throttled = table(read("cpu", "cpu.stat"));
  const percpu = (read("cpuacct", "cpuacct.usage_percpu") ?? "")
    .trim()
    .split(" ")
    .filter((part) => part !== "");
  return {
    usage: {
      total: count(read("cpuacct", "cpuacct.usage")) ?? 0n,
      percpu: percpu.map(BigInt),
      kernel: (ticks["system"] ?? 0n) * NANOSECONDS_PER_TICK,
      user: (ticks["user"] ?? 0n) * NANOSECONDS_PER_TICK,
    },
    throttling: throttling(throttled, throttled["throttled_time"] ?? 0n),
  };
}

function cpuUnified(stat: Record<string, bigint>): Stats["cpu"] {
  const wide = (name: string) => (stat[name] ?? 0n) * NANOSECONDS_PER_MICROSECOND;
  return {
    usage: { total: wide("usage_usec"), percpu: [], kernel: wide("system_usec"), user: wide("user_usec") },
    throttling: throttling(stat, wide("throttled_usec")),
  };
}

function throttling(stat: Record<string, bigint>, time: bigint): Stats["cpu"]["throttling"] {
  if ((stat["nr_periods"] ?? 0n) === 0n) return {};
  return { periods: stat["nr_periods"]!, throttledPeriods: stat["nr_throttled"] ?? 0n, throttledTime: time };
}

function memoryLegacy(read: ReadFile): Stats["memory"] {
  const use = (prefix: string): MemoryUse => ({
    limit: count(read("memory", `${prefix}.limit_in_bytes`)) ?? 0n,
    usage: count(read("memory", `${prefix}.usage_in_bytes`)) ?? 0n,
    max: count(read("memory", `${prefix}.max_usage_in_bytes`)) ?? 0n,
    failcnt: count(read("memory", `${prefix}.failcnt`)) ?? 0n,
  });
  const raw = table(read("memory", "memory.stat"));
  return { usage: use("memory"), swap: use("memory.memsw"), kernel: use("memory.kmem"), raw };
}

function memoryUnified(read: ReadFile): Stats["memory"] {
  const use = (prefix: string): MemoryUse => ({
    limit: count(read("", `${prefix}.max`)) ?? 2n ** 64n - 1n,
    usage: count(read("", `${prefix}.current`)) ?? 0n,
    max: count(read("", `${prefix}.peak`)) ?? 0n,
    failcnt: 0n,
  });
  const [usage, swap] = [use("memory"), use("memory.swap")];
  return { usage, swap, kernel: { limit: 0n, usage: 0n, max: 0n, failcnt: 0n }, raw: table(read("", "memory.stat")) };
}

function blockLegacy(read: ReadFile): Stats["blkio"] {
  const entries = (file: string): BlockEntry[] =>
    [...(read("blkio", file) ?? "").matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map((match) => ({
      major: Number(match[1]),
      minor: Number(match[2]),
      op: match[3]!,
      value: BigInt(match[4]!),
    }));
  const bytes = entries("blkio.throttle.io_service_bytes_recursive");
  const served = entries("blkio.throttle.io_serviced_recursive");
  return {
    ...(bytes.length > 0 ? { ioServiceBytesRecursive: bytes } : {}),
    ...(served.length > 0 ? { ioServicedRecursive: served } : {}),
  };
}
