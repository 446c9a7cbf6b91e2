// One sample of what a container uses, from its cgroup (v1 or v2) and its network namespace, in the API's words. Read
// from the files of the cgroup of its first process: no call to containerd, no program started.

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { Failure } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { nowText } from "./record.ts";

const NANOSECONDS_PER_TICK = 10_000_000; // USER_HZ is 100

export interface Sample {
  read: string;
  cpu: object;
  memory: object;
  pids: object;
  blkio: object;
  networks: Record<string, object> | null;
}

export async function takeSample(engine: Engine, container: Container): Promise<Sample> {
  const { pid } = container.record.state;
  if (pid === 0) throw new Failure("failed_precondition", `container ${container.id} is not running`);
  const groups = readGroups(pid);
  const isolated = engine.networks.mode(container.record.hostConfig).kind !== "host";
  const version2 = engine.host.cgroupVersion === 2;
  return {
    read: nowText(),
    cpu: {
      ...(version2 ? cpuOf2(groups) : cpuOf1(groups)),
      system_cpu_usage: systemUsage(),
      online_cpus: cpus().length,
    },
    memory: version2 ? memoryOf2(engine, groups) : memoryOf1(engine, groups),
    pids: pidsOf(groups, version2),
    blkio: blkioOf(groups, version2),
    networks: isolated ? networksOf(pid) : null,
  };
}

/** Controller to directory; "" is the unified hierarchy. */
type Groups = ReadonlyMap<string, string>;

function readGroups(pid: number): Groups {
  const groups = new Map<string, string>();
  for (const line of text(`/proc/${pid}/cgroup`).split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined) continue;
    if (controllers === "") groups.set("", `/sys/fs/cgroup${path}`);
    for (const name of controllers.split(","))
      if (name !== "") groups.set(name, `/sys/fs/cgroup/${controllers}${path}`);
  }
  return groups;
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function number(groups: Groups, controller: string, file: string): number {
  const value = text(`${groups.get(controller) ?? ""}/${file}`).trim();
  return /^\d+$/.test(value) ? Number(value) : 0;
}

function table(content: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of content.split("\n")) {
    const [name, value] = line.split(" ");
    if (name !== undefined && value !== undefined && /^\d+$/.test(value)) values[name] = Number(value);
  }
  return values;
}

function cpuOf1(groups: Groups): object {
  const stat = table(text(`${groups.get("cpuacct") ?? ""}/cpuacct.stat`));
  const throttling = table(text(`${groups.get("cpu") ?? ""}/cpu.stat`));
  const perCpu = text(`${groups.get("cpuacct") ?? ""}/cpuacct.usage_percpu`)
    .trim()
    .split(/\s+/)
    .map(Number);
  return {
    cpu_usage: {
      total_usage: number(groups, "cpuacct", "cpuacct.usage"),
      percpu_usage: perCpu,
      usage_in_kernelmode: (stat["system"] ?? 0) * NANOSECONDS_PER_TICK,
      usage_in_usermode: (stat["user"] ?? 0) * NANOSECONDS_PER_TICK,
    },
    throttling_data: {
      periods: throttling["nr_periods"] ?? 0,
      throttled_periods: throttling["nr_throttled"] ?? 0,
      throttled_time: throttling["throttled_time"] ?? 0,
    },
  };
}

function cpuOf2(groups: Groups): object {
  const stat = table(text(`${groups.get("") ?? ""}/cpu.stat`));
  return {
    cpu_usage: {
      total_usage: (stat["usage_usec"] ?? 0) * 1000,
      usage_in_kernelmode: (stat["system_usec"] ?? 0) * 1000,
      usage_in_usermode: (stat["user_usec"] ?? 0) * 1000,
    },
    throttling_data: {
      periods: stat["nr_periods"] ?? 0,
      throttled_periods: stat["nr_throttled"] ?? 0,
      throttled_time: (stat["throttled_usec"] ?? 0) * 1000,
    },
  };
}

function memoryOf1(engine: Engine, groups: Groups): object {
  const limit = number(groups, "memory", "memory.limit_in_bytes");
  return {
    usage: number(groups, "memory", "memory.usage_in_bytes"),
    max_usage: number(groups, "memory", "memory.max_usage_in_bytes"),
    stats: table(text(`${groups.get("memory") ?? ""}/memory.stat`)),
    failcnt: number(groups, "memory", "memory.failcnt"),
    limit: limit === 0 || limit > engine.host.memory ? engine.host.memory : limit,
  };
}

function memoryOf2(engine: Engine, groups: Groups): object {
  return {
    usage: number(groups, "", "memory.current"),
    stats: table(text(`${groups.get("") ?? ""}/memory.stat`)),
    limit: number(groups, "", "memory.max") || engine.host.memory,
  };
}

function pidsOf(groups: Groups, version2: boolean): object {
  const controller = version2 ? "" : "pids";
  const limit = number(groups, controller, "pids.max");
  return { current: number(groups, controller, "pids.current"), ...(limit === 0 ? {} : { limit }) };
}

function blkioOf(groups: Groups, version2: boolean): object {
  const entries: { major: number; minor: number; op: string; value: number }[] = [];
  const file = version2
    ? `${groups.get("") ?? ""}/io.stat`
    : `${groups.get("blkio") ?? ""}/blkio.throttle.io_service_bytes`;
  for (const line of text(file).split("\n")) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (match === null) continue;
    const [major, minor] = [Number(match[1]), Number(match[2])];
    const pairs = version2
      ? [...match[3]!.matchAll(/(rbytes|wbytes)=(\d+)/g)]
      : [...match[3]!.matchAll(/(\w+) (\d+)/g)];
    for (const [, name, value] of pairs) {
      const op = name === "rbytes" ? "read" : name === "wbytes" ? "write" : name!.toLowerCase();
      entries.push({ major, minor, op, value: Number(value) });
    }
  }
  return {
    io_service_bytes_recursive: entries,
    io_serviced_recursive: null,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  };
}

/** Of all processors since boot, in nanoseconds. */
function systemUsage(): number {
  const line = text("/proc/stat").split("\n", 1)[0] ?? "";
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return ticks.reduce((sum, value) => sum + value, 0) * NANOSECONDS_PER_TICK;
}

function networksOf(pid: number): Record<string, object> {
  const networks: Record<string, object> = {};
  for (const line of text(`/proc/${pid}/net/dev`).split("\n")) {
    const match = /^\s*([^\s:]+):\s*(.*)$/.exec(line);
    if (match === null || match[1] === "lo") continue;
    const values = match[2]!.trim().split(/\s+/).map(Number);
    networks[match[1]!] = {
      rx_bytes: values[0] ?? 0,
      rx_packets: values[1] ?? 0,
      rx_errors: values[2] ?? 0,
      rx_dropped: values[3] ?? 0,
      tx_bytes: values[8] ?? 0,
      tx_packets: values[9] ?? 0,
      tx_errors: values[10] ?? 0,
      tx_dropped: values[11] ?? 0,
    };
  }
  return networks;
}
