// Resource limits on cgroup v2: config.json speaks in v1's units, so shares become a weight, and a limit of memory and
// swap together becomes one of swap alone.

import { Failure } from "../../base/errors.ts";
import { ENOENT, SyscallFailure } from "../../linux/errno.ts";
import type { Resources } from "../spec/schema.ts";
import { pidsMax } from "./limits.ts";
import { tryWrite } from "./manager.ts";

export function setUnifiedLimits(directory: string, resources: Resources): void {
  const put = (file: string, value: string | number | bigint) => {
    const result = tryWrite(`${directory}/${file}`, String(value));
    if (result >= 0) return;
    if (result === -ENOENT)
      throw new Failure("failed_precondition", `cannot set ${file}: the controller is not available`);
    const failure = new SyscallFailure("write", -result, `${directory}/${file}`);
    throw new Failure("invalid_argument", `failed to write "${value}": ${failure.message}`);
  };
  const { memory, cpu, pids, blockIO } = resources;
  if (memory !== null) {
    const swap = unifiedSwap(memory.limit, memory.swap);
    if (swap !== null) put("memory.swap.max", swap);
    if (memory.limit !== null && memory.limit !== 0n) put("memory.max", orMax(memory.limit));
    if (memory.reservation !== null && memory.reservation !== 0n) put("memory.low", orMax(memory.reservation));
  }
  if (cpu !== null) {
    if (cpu.idle !== null) put("cpu.idle", cpu.idle);
    if (cpu.shares !== null && cpu.shares !== 0n) put("cpu.weight", weightOfShares(cpu.shares));
    if ((cpu.quota !== null && cpu.quota !== 0n) || (cpu.period !== null && cpu.period !== 0n)) {
      const quota = cpu.quota !== null && cpu.quota > 0n ? String(cpu.quota) : "max";
      put("cpu.max", cpu.period === null || cpu.period === 0n ? quota : `${quota} ${cpu.period}`);
    }
    if (cpu.burst !== null) put("cpu.max.burst", cpu.burst);
    if (cpu.cpus !== "") put("cpuset.cpus", cpu.cpus);
    if (cpu.mems !== "") put("cpuset.mems", cpu.mems);
  }
  if (pids !== null) put("pids.max", pidsMax(pids.limit));
  if (blockIO !== null) {
    if (blockIO.weight !== null && blockIO.weight !== 0) put("io.bfq.weight", blockIO.weight);
    const throttles = [
      ["rbps", blockIO.throttleReadBpsDevice],
      ["wbps", blockIO.throttleWriteBpsDevice],
      ["riops", blockIO.throttleReadIOPSDevice],
      ["wiops", blockIO.throttleWriteIOPSDevice],
    ] as const;
    for (const [word, devices] of throttles) {
      for (const { major, minor, rate } of devices) put("io.max", `${major}:${minor} ${word}=${rate}`);
    }
  }
  for (const { pageSize, limit } of resources.hugepageLimits) put(`hugetlb.${pageSize}.max`, limit);
  for (const [file, value] of Object.entries(resources.unified)) {
    if (file.includes("/"))
      throw new Failure("invalid_argument", `unified resource ${file} must be a file name (no slashes)`);
    for (const line of value.split("\n")) put(file, line);
  }
}

function orMax(value: bigint): string {
  return value < 0n ? "max" : String(value);
}

/** cpu.shares 2..262144 to cpu.weight 1..10000, so that the default 1024 becomes 100 (a quadratic in the logarithm, as
 *  runc computes it from 1.4 on, would move it; this is the linear form of all releases before). */
export function weightOfShares(shares: bigint): bigint {
  const bounded = shares < 2n ? 2n : shares > 262144n ? 262144n : shares;
  return 1n + ((bounded - 2n) * 9999n) / 262142n;
}

/** The part of `swap` (memory and swap) above `limit`; null when nothing is to be set. */
export function unifiedSwap(limit: bigint | null, swap: bigint | null): string | null {
  if (swap === null || swap === 0n) return limit === -1n ? "max" : null;
  if (swap < 0n) return "max";
  if (limit === null || limit === 0n || limit < 0n) {
    throw new Failure("invalid_argument", "unable to set swap limit without memory limit");
  }
  if (swap < limit) throw new Failure("invalid_argument", "memory+swap limit should be >= memory limit");
  return String(swap - limit);
}
