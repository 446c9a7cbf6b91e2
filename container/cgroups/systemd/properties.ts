// linux.resources as properties of a unit. systemd keeps them and may write them again at any time, so it must know
// whatever it can express; what it cannot is written into the cgroup's files by limits.ts as without systemd.

import { Failure } from "../../../base/errors.ts";
import type { DbusValue } from "../../../wire/dbus/value.ts";
import type { Resources } from "../../spec/schema.ts";
import type { DevicePolicy } from "../devices.ts";
import { unifiedSwap, weightOfShares } from "../unified.ts";
import type { Property } from "./unit.ts";

const INFINITY = (1n << 64n) - 1n;
const DEFAULT_PERIOD = 100_000n;
const MICROSECONDS = 1_000_000n;
/** systemd counts quotas in hundredths of a processor. */
const QUOTA_STEP = 10_000n;
/** systemd that takes a weight of 0 for "idle". */
export const IDLE_VERSION = 252;
/** systemd whose scopes have an OOMPolicy. */
export const OOM_VERSION = 253;

export interface Manager {
  /** Cgroup v2 alone. */
  unified: boolean;
  /** Asked only where it matters: it costs a question. */
  version(): number;
}

function property(name: string, signature: string, value: DbusValue): Property {
  return [name, { signature, value }];
}

const number = (name: string, value: bigint) => property(name, "t", BigInt.asUintN(64, value));

export function resourceProperties(resources: Resources, manager: Manager): Property[] {
  const { memory, cpu, pids, blockIO } = resources;
  const properties: Property[] = [];
  if (memory?.limit) properties.push(number(manager.unified ? "MemoryMax" : "MemoryLimit", memory.limit));
  if (manager.unified) {
    if (memory?.reservation) properties.push(number("MemoryLow", memory.reservation));
    const swap = memory === null ? null : unifiedSwap(memory.limit, memory.swap);
    if (swap !== null) properties.push(number("MemorySwapMax", swap === "max" ? INFINITY : BigInt(swap)));
    const idle = cpu?.idle === 1n && manager.version() >= IDLE_VERSION;
    if (idle) properties.push(number("CPUWeight", 0n));
    else if (cpu?.shares) properties.push(number("CPUWeight", weightOfShares(cpu.shares)));
  } else {
    if (cpu?.shares) properties.push(number("CPUShares", cpu.shares));
    if (blockIO?.weight) properties.push(number("BlockIOWeight", BigInt(blockIO.weight)));
  }
  properties.push(...quotaProperties(cpu?.quota ?? 0n, cpu?.period ?? 0n));
  if (pids !== null && pids.limit !== 0n) properties.push(number("TasksMax", tasks(pids.limit)));
  if (cpu !== null && cpu.cpus !== "") properties.push(setProperty("AllowedCPUs", cpu.cpus, "resources.CPU.Cpus"));
  if (cpu !== null && cpu.mems !== "") {
    properties.push(setProperty("AllowedMemoryNodes", cpu.mems, "resources.CPU.Mems"));
  }
  return [...properties, ...unifiedProperties(resources.unified, manager)];
}

/** systemd has no limit of none. */
function tasks(limit: bigint): bigint {
  return limit < 0n ? INFINITY : limit === 0n ? 1n : limit;
}

function quotaProperties(quota: bigint, period: bigint): Property[] {
  const properties: Property[] = [];
  if (period !== 0n) properties.push(number("CPUQuotaPeriodUSec", period));
  if (quota !== 0n || period !== 0n) {
    properties.push(number("CPUQuotaPerSecUSec", quota > 0n ? perSecond(quota, period) : INFINITY));
  }
  return properties;
}

function perSecond(quota: bigint, period: bigint): bigint {
  const exact = (quota * MICROSECONDS) / (period === 0n ? DEFAULT_PERIOD : period);
  return ((exact + QUOTA_STEP - 1n) / QUOTA_STEP) * QUOTA_STEP;
}

/** The resources with the quota as systemd rounds it (up), so that both write the same. */
export function withRoundedQuota(resources: Resources): Resources {
  const { cpu } = resources;
  if (cpu?.quota === null || cpu?.quota === undefined || cpu.quota <= 0n) return resources;
  const period = cpu.period === null || cpu.period === 0n ? DEFAULT_PERIOD : cpu.period;
  const exact = (cpu.quota * MICROSECONDS) / period;
  if (exact % QUOTA_STEP === 0n) return resources;
  return { ...resources, cpu: { ...cpu, quota: (perSecond(cpu.quota, period) * period) / MICROSECONDS } };
}

function setProperty(name: string, list: string, field: string): Property {
  try {
    return property(name, "ay", bitsOf(list));
  } catch (thrown) {
    const reason = (thrown as Error).message;
    throw new Failure("invalid_argument", `${field}=${JSON.stringify(list)} conversion error: ${reason}`);
  }
}

const HIGHEST_BIT = 1 << 16;

/** "0-3,5" as a bit mask, lowest byte first. Throws an Error for what is no such list. */
export function bitsOf(list: string): Uint8Array {
  const bits: number[] = [];
  for (const range of list.split(",").map((part) => part.trim())) {
    if (range === "") continue;
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (first === undefined) throw new Error(`parsing ${JSON.stringify(range)}: invalid syntax`);
    const [from, to] = [Number(first), Number(last ?? first)];
    if (from > to) throw new Error(`invalid range: ${range}`);
    if (to >= HIGHEST_BIT) throw new Error(`parsing ${JSON.stringify(range)}: value out of range`);
    for (let bit = from; bit <= to; bit++) {
      while (bits.length <= bit >> 3) bits.push(0);
      bits[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  if (bits.length === 0) throw new Error("empty value");
  return Uint8Array.from(bits);
}

const UNIFIED_NUMBERS: Readonly<Record<string, string>> = {
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.max": "MemoryMax",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
  "cpu.weight": "CPUWeight",
};
const UNIFIED_SETS: Readonly<Record<string, string>> = {
  "cpuset.cpus": "AllowedCPUs",
  "cpuset.mems": "AllowedMemoryNodes",
};

function unifiedProperties(unified: Resources["unified"], manager: Manager): Property[] {
  const properties: Property[] = [];
  const idle = unified["cpu.idle"]?.trim() === "1" && manager.version() >= IDLE_VERSION;
  if (idle) properties.push(number("CPUWeight", 0n));
  for (const [file, text] of Object.entries(unified)) {
    const quoted = JSON.stringify(file);
    const wrong = (what: string) => new Failure("invalid_argument", `unified resource ${quoted} ${what}`);
    if (file.includes("/")) throw wrong("must be a file name (no slashes)");
    if (file.indexOf(".") <= 0) throw wrong("must be in the form CONTROLLER.PARAMETER");
    const value = text.trim();
    const set = UNIFIED_SETS[file];
    const named = UNIFIED_NUMBERS[file];
    if (set !== undefined) properties.push(setProperty(set, value, `unified resource ${quoted}`));
    else if (file === "cpu.max") properties.push(...maximum(value, wrong));
    else if (named !== undefined && !(idle && file === "cpu.weight")) {
      const most = value === "max" && file !== "cpu.weight";
      if (!most && !/^\d+$/.test(value)) throw wrong(`value conversion error: parsing "${value}": invalid syntax`);
      const given = most ? INFINITY : BigInt(value);
      properties.push(number(named, file === "pids.max" ? tasks(given) : given));
    }
  }
  return properties;
}

function maximum(value: string, wrong: (what: string) => Failure): Property[] {
  const [quota, period, ...more] = value.split(/\s+/);
  if (quota === undefined || quota === "" || more.length > 0) throw wrong(`value invalid: ${JSON.stringify(value)}`);
  const count = (text: string, what: string) => {
    if (!/^-?\d+$/.test(text)) throw wrong(`${what} value conversion error: parsing "${text}": invalid syntax`);
    return BigInt(text);
  };
  return quotaProperties(
    quota === "max" ? 0n : count(quota, "period"),
    period === undefined ? DEFAULT_PERIOD : count(period, "quota"),
  );
}

/** The device rules as systemd has them. It knows only "all but"-less lists: a policy that allows by default with
 *  exceptions is told to it as "nothing", and limits.ts's own program is what rules. */
export function deviceProperties(policy: DevicePolicy): Property[] {
  const list = (entries: [string, string][]) => property("DeviceAllow", "a(ss)", entries);
  if (policy.allowByDefault && policy.exceptions.size === 0) return [list([]), property("DevicePolicy", "s", "auto")];
  const strict = [list([]), property("DevicePolicy", "s", "strict")];
  if (policy.allowByDefault) return strict;
  const entries: [string, string][] = [];
  for (const [key, access] of [...policy.exceptions].sort(([a], [b]) => compareDevices(a, b))) {
    const [type, major, minor] = key.split(/[ :]/) as [string, string, string];
    const kind = type === "b" ? "block" : "char";
    // "*:n" has no form there.
    if (major === "*" && minor !== "*") continue;
    if (minor === "*") entries.push([`${kind}-${major}`, access]);
    else entries.push([`/dev/${kind}/${major}:${minor}`, access]);
  }
  return [...strict, list(entries)];
}

function compareDevices(a: string, b: string): number {
  const parts = (key: string) => key.split(/[ :]/).map((part, at) => (at === 0 ? part : part === "*" ? -1 : +part));
  const [left, right] = [parts(a), parts(b)];
  for (let at = 0; at < left.length; at++) {
    if (left[at] !== right[at]) return left[at]! < right[at]! ? -1 : 1;
  }
  return 0;
}

export const flag = (name: string, value: boolean): Property => property(name, "b", value);
export const word = (name: string, value: string): Property => property(name, "s", value);
export const words = (name: string, value: string[]): Property => property(name, "as", value);
export const pids = (value: number[]): Property => property("PIDs", "au", value);
