// Limits as Docker's API names them, into the runtime's cgroup resources. Used at create and by `docker update`.

import { Failure } from "../../base/errors.ts";
import type { BlockIo, Resources, ThrottleDevice } from "./oci.ts";

/** The part of HostConfig that limits a container; 0, "" and null all mean "not asked for". */
export interface ResourceRequest {
  CpuShares?: number;
  CpuPeriod?: number;
  CpuQuota?: number;
  CpuRealtimePeriod?: number;
  CpuRealtimeRuntime?: number;
  CpusetCpus?: string;
  CpusetMems?: string;
  NanoCpus?: number;
  Memory?: number;
  MemoryReservation?: number;
  MemorySwap?: number;
  MemorySwappiness?: number | null;
  OomKillDisable?: boolean | null;
  PidsLimit?: number | null;
  BlkioWeight?: number;
}

/** Throttles with their devices resolved to numbers by the caller. */
export interface ThrottleRequest {
  readBps: ThrottleDevice[];
  writeBps: ThrottleDevice[];
  readIops: ThrottleDevice[];
  writeIops: ThrottleDevice[];
  weights: { major: number; minor: number; weight: number }[];
}

const CPU_PERIOD_MICROSECONDS = 100_000;
/** The kernel needs this much for a process at all. */
export const MIN_MEMORY_BYTES = 6 * 1024 * 1024;

export function checkResources(request: ResourceRequest): void {
  const fail = (message: string) => {
    throw new Failure("invalid_argument", message);
  };
  const memory = request.Memory ?? 0;
  const swap = request.MemorySwap ?? 0;
  const reservation = request.MemoryReservation ?? 0;
  if (memory !== 0 && memory < MIN_MEMORY_BYTES) fail("Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap > 0 && swap < memory) {
    fail("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (memory === 0 && swap > 0) fail("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (reservation > 0 && reservation < MIN_MEMORY_BYTES) fail("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > 0 && memory < reservation) {
    fail("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  const swappiness = request.MemorySwappiness ?? -1;
  if (swappiness < -1 || swappiness > 100) {
    fail(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  const nano = request.NanoCpus ?? 0;
  if (nano > 0 && (request.CpuPeriod ?? 0) > 0) {
    fail("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (nano > 0 && (request.CpuQuota ?? 0) > 0) fail("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (nano < 0) fail("NanoCPUs can not be negative");
  const weight = request.BlkioWeight ?? 0;
  if (weight > 0 && (weight < 10 || weight > 1000)) fail("Range of blkio weight is from 10 to 1000");
}

export function ociResources(
  request: ResourceRequest,
  throttle: ThrottleRequest | null,
  swapKnown: boolean,
): Resources {
  const resources: Resources = {};
  const cpu = cpuPart(request);
  if (Object.keys(cpu).length > 0) resources.cpu = cpu;
  const memory = memoryPart(request, swapKnown);
  if (Object.keys(memory).length > 0) resources.memory = memory;
  const pids = request.PidsLimit ?? 0;
  if (pids !== 0) resources.pids = { limit: pids < 0 ? -1 : pids };
  const blockIo = blockIoPart(request, throttle);
  if (Object.keys(blockIo).length > 0) resources.blockIO = blockIo;
  return resources;
}

function cpuPart(request: ResourceRequest): NonNullable<Resources["cpu"]> {
  const cpu: NonNullable<Resources["cpu"]> = {};
  if (request.CpuShares) cpu.shares = request.CpuShares;
  if (request.NanoCpus) {
    cpu.period = CPU_PERIOD_MICROSECONDS;
    cpu.quota = Math.floor((request.NanoCpus * CPU_PERIOD_MICROSECONDS) / 1e9);
  }
  if (request.CpuPeriod) cpu.period = request.CpuPeriod;
  if (request.CpuQuota) cpu.quota = request.CpuQuota;
  if (request.CpuRealtimePeriod) cpu.realtimePeriod = request.CpuRealtimePeriod;
  if (request.CpuRealtimeRuntime) cpu.realtimeRuntime = request.CpuRealtimeRuntime;
  if (request.CpusetCpus) cpu.cpus = request.CpusetCpus;
  if (request.CpusetMems) cpu.mems = request.CpusetMems;
  return cpu;
}

function memoryPart(request: ResourceRequest, swapKnown: boolean): NonNullable<Resources["memory"]> {
  const memory: NonNullable<Resources["memory"]> = {};
  if (request.Memory) memory.limit = request.Memory;
  if (request.MemoryReservation) memory.reservation = request.MemoryReservation;
  const swap = effectiveSwap(request);
  if (swap !== 0 && swapKnown) memory.swap = swap;
  const swappiness = request.MemorySwappiness ?? -1;
  if (swappiness >= 0) memory.swappiness = swappiness;
  if (request.OomKillDisable) memory.disableOOMKiller = true;
  return memory;
}

/** Memory without a word on swap allows as much swap again, as Docker always did. */
export function effectiveSwap(request: ResourceRequest): number {
  const swap = request.MemorySwap ?? 0;
  if (swap !== 0) return swap;
  return request.Memory ? request.Memory * 2 : 0;
}

function blockIoPart(request: ResourceRequest, throttle: ThrottleRequest | null): BlockIo {
  const part: BlockIo = {};
  if (request.BlkioWeight) part.weight = request.BlkioWeight;
  if (throttle === null) return part;
  if (throttle.weights.length > 0) part.weightDevice = throttle.weights;
  if (throttle.readBps.length > 0) part.throttleReadBpsDevice = throttle.readBps;
  if (throttle.writeBps.length > 0) part.throttleWriteBpsDevice = throttle.writeBps;
  if (throttle.readIops.length > 0) part.throttleReadIOPSDevice = throttle.readIops;
  if (throttle.writeIops.length > 0) part.throttleWriteIOPSDevice = throttle.writeIops;
  return part;
}
