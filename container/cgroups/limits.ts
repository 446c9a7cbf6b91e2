// Resource limits of config.json, written into a container's cgroups. v1 here; v2's files are in unified.ts.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EBUSY, EINVAL, ENOENT, SyscallFailure } from "../../linux/errno.ts";
import { close, O_WRONLY, open, readTextIfThere, writeAll } from "../../linux/fd.ts";
import type { Resources } from "../spec/schema.ts";
import { attachDeviceFilter } from "./devicefilter.ts";
import { devicePolicy, deviceWrites } from "./devices.ts";
import { type Cgroups, tryWrite, writeControl } from "./manager.ts";
import { setUnifiedLimits } from "./unified.ts";

/** All but the devices. */
export function setLimits(cgroups: Cgroups, resources: Resources | null): void {
  if (resources === null) return;
  if (cgroups.unified) {
    setUnifiedLimits(cgroups.paths[""]!, resources);
    return;
  }
  if (Object.keys(resources.unified).length > 0) {
    throw new Failure("failed_precondition", "invalid configuration: cannot use unified on cgroup v1");
  }
  setMemory(cgroups, resources);
  setCpu(cgroups, resources);
  setBlockIo(cgroups, resources);
  const limit = resources.pids?.limit;
  if (limit !== undefined) put(cgroups, "pids", "pids.max", pidsMax(limit));
  for (const { pageSize, limit: bytes } of resources.hugepageLimits) {
    put(cgroups, "hugetlb", `hugetlb.${pageSize}.limit_in_bytes`, bytes);
  }
  if (resources.network !== null) {
    if (resources.network.classID !== null) put(cgroups, "net_cls", "net_cls.classid", resources.network.classID);
    for (const { name, priority } of resources.network.priorities) {
      put(cgroups, "net_prio", "net_prio.ifpriomap", `${name} ${priority}`);
    }
  }
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma)) {
    const parts = [
      hcaHandles === null ? "" : `hca_handle=${hcaHandles}`,
      hcaObjects === null ? "" : `hca_object=${hcaObjects}`,
    ];
    put(cgroups, "rdma", "rdma.max", `${device} ${parts.filter((part) => part !== "").join(" ")}`);
  }
}

/** Below zero is no limit. Zero is one: that lets the first process live and start no other, as zero would, and systemd
 *  takes no zero. */
export function pidsMax(limit: bigint): string {
  if (limit < 0n) return "max";
  return limit === 0n ? "1" : String(limit);
}

/** The hierarchy's directory that carries a controller; null when this machine lacks it. */
export function directoryOf(cgroups: Cgroups, controller: string): string | null {
  for (const [name, path] of Object.entries(cgroups.paths)) if (name.split(",").includes(controller)) return path;
  return null;
}

function put(cgroups: Cgroups, controller: string, file: string, value: string | number | bigint): void {
  const directory = directoryOf(cgroups, controller);
  if (directory === null) {
    throw new Failure(
      "failed_precondition",
      `cannot set ${controller} limit: container could not join or create cgroup`,
    );
  }
  const result = tryWrite(`${directory}/${file}`, String(value));
  if (result >= 0) return;
  if (result === -ENOENT) throw new Failure("failed_precondition", `cannot set ${file}: this kernel does not have it`);
  const path = `${directory}/${file}`;
  throw new Failure(
    "invalid_argument",
    `failed to write "${value}": ${new SyscallFailure("write", -result, path).message}`,
  );
}

/** For a cgroup made just now, whose rules start from "all allowed"; before anybody is in it, because between the
 *  first write and the last nothing is allowed, not even to make a node. */
export function setDevices(cgroups: Cgroups, resources: Resources | null): void {
  if (cgroups.unified) {
    attachDeviceFilter(cgroups.paths[""]!, devicePolicy(resources?.devices ?? []));
    return;
  }
  const directory = directoryOf(cgroups, "devices");
  if (directory === null) return;
  const files = new Map<string, number>();
  for (const [file, value] of deviceWrites(devicePolicy(resources?.devices ?? []))) {
    let fd = files.get(file);
    if (fd === undefined) {
      fd = open(`${directory}/${file}`, O_WRONLY).release();
      files.set(file, fd);
    }
    writeAll(fd, door().encode(value));
  }
  for (const fd of files.values()) close(fd);
}

function setMemory(cgroups: Cgroups, { memory }: Resources): void {
  if (memory === null) return;
  const { limit, swap } = memory;
  const writes: [string, bigint][] = [];
  if (limit !== null && limit !== 0n) writes.push(["memory.limit_in_bytes", limit]);
  // No limit on memory means none on memory and swap together, unless something else is asked.
  const both = limit === -1n && (swap === null || swap === 0n) ? -1n : swap;
  if (both !== null && both !== 0n) writes.push(["memory.memsw.limit_in_bytes", both]);
  setBounded(cgroups, writes);
  if (memory.reservation !== null && memory.reservation !== 0n) {
    put(cgroups, "memory", "memory.soft_limit_in_bytes", memory.reservation);
  }
  if (memory.disableOOMKiller === true) put(cgroups, "memory", "memory.oom_control", 1);
  if (memory.swappiness !== null) put(cgroups, "memory", "memory.swappiness", memory.swappiness);
}

/** The kernel wants memory ≤ memory and swap at every moment, so the right order depends on what was set before. */
function setBounded(cgroups: Cgroups, writes: [file: string, value: bigint][]): void {
  const directory = directoryOf(cgroups, "memory");
  if (writes.length === 0 || directory === null) {
    if (writes.length > 0) put(cgroups, "memory", ...writes[0]!);
    return;
  }
  const attempt = (order: [string, bigint][]) => {
    for (const [file, value] of order) {
      const result = tryWrite(`${directory}/${file}`, String(value));
      if (result < 0) return { file, value, errno: -result };
    }
    return null;
  };
  const failed = attempt(writes);
  if (failed === null) return;
  const again = writes.length > 1 && failed.errno === EINVAL ? attempt([...writes].reverse()) : failed;
  if (again === null) return;
  if (again.errno === EBUSY && again.file === "memory.limit_in_bytes") {
    const usage = (file: string) => (readTextIfThere(`${directory}/${file}`) ?? "0").trim();
    throw new Failure(
      "failed_precondition",
      `unable to set memory limit to ${again.value} (current usage: ${usage("memory.usage_in_bytes")}, ` +
        `peak usage: ${usage("memory.max_usage_in_bytes")})`,
    );
  }
  put(cgroups, "memory", again.file, again.value);
}

function setCpu(cgroups: Cgroups, { cpu }: Resources): void {
  if (cpu === null) return;
  const set = (file: string, value: bigint | null) => {
    if (value !== null && value !== 0n) put(cgroups, "cpu", file, value);
  };
  set("cpu.shares", cpu.shares);
  const directory = directoryOf(cgroups, "cpu");
  // A quota below the smallest for the old period is refused, and so is the reverse: period, quota, then period again.
  if (cpu.period !== null && cpu.period !== 0n && directory !== null) {
    const early = tryWrite(`${directory}/cpu.cfs_period_us`, String(cpu.period));
    set("cpu.cfs_quota_us", cpu.quota);
    if (early < 0) set("cpu.cfs_period_us", cpu.period);
  } else set("cpu.cfs_quota_us", cpu.quota);
  if (cpu.burst !== null) put(cgroups, "cpu", "cpu.cfs_burst_us", cpu.burst);
  // The same with the time of real-time processes: a period below the old runtime is refused.
  if (cpu.realtimePeriod !== null && cpu.realtimePeriod !== 0n && directory !== null) {
    const early = tryWrite(`${directory}/cpu.rt_period_us`, String(cpu.realtimePeriod));
    set("cpu.rt_runtime_us", cpu.realtimeRuntime);
    if (early < 0) set("cpu.rt_period_us", cpu.realtimePeriod);
  } else set("cpu.rt_runtime_us", cpu.realtimeRuntime);
  if (cpu.idle !== null) put(cgroups, "cpu", "cpu.idle", cpu.idle);
  if (cpu.cpus !== "") put(cgroups, "cpuset", "cpuset.cpus", cpu.cpus);
  if (cpu.mems !== "") put(cgroups, "cpuset", "cpuset.mems", cpu.mems);
}

function setBlockIo(cgroups: Cgroups, { blockIO }: Resources): void {
  if (blockIO === null) return;
  const blkio = directoryOf(cgroups, "blkio");
  // The weight files carry the scheduler's name when BFQ is the only one that has them.
  const weightFile =
    blkio !== null && readTextIfThere(`${blkio}/blkio.weight`) !== null ? "blkio.weight" : "blkio.bfq.weight";
  if (blockIO.weight !== null && blockIO.weight !== 0) put(cgroups, "blkio", weightFile, blockIO.weight);
  if (blockIO.leafWeight !== null && blockIO.leafWeight !== 0) {
    put(cgroups, "blkio", "blkio.leaf_weight", blockIO.leafWeight);
  }
  for (const { major, minor, weight, leafWeight } of blockIO.weightDevice) {
    if (weight !== null) put(cgroups, "blkio", `${weightFile}_device`, `${major}:${minor} ${weight}`);
    if (leafWeight !== null) put(cgroups, "blkio", "blkio.leaf_weight_device", `${major}:${minor} ${leafWeight}`);
  }
  const throttles = [
    ["read_bps_device", blockIO.throttleReadBpsDevice],
    ["write_bps_device", blockIO.throttleWriteBpsDevice],
    ["read_iops_device", blockIO.throttleReadIOPSDevice],
    ["write_iops_device", blockIO.throttleWriteIOPSDevice],
  ] as const;
  for (const [file, devices] of throttles) {
    for (const { major, minor, rate } of devices) {
      put(cgroups, "blkio", `blkio.throttle.${file}`, `${major}:${minor} ${rate}`);
    }
  }
}

export { writeControl };
