// Facts of this machine that decide what a container can get, read once at start: cgroup version and controllers,
// the capabilities we may hand on, kernel and distribution names for `docker info`.

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, hostname, release, totalmem } from "node:os";
import { capabilitiesOfMask } from "../../../core/spec/capabilities.ts";

export interface HostFacts {
  cgroupVersion: 1 | 2;
  /** Whether the memory controller can limit swap. */
  swapLimit: boolean;
  /** What a container may be given at most. */
  capabilities: string[];
  kernel: string;
  hostname: string;
  operatingSystem: string;
  osVersion: string;
  cpus: number;
  memory: number;
}

export function readHostFacts(): HostFacts {
  const cgroupVersion = existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
  const swapFile = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes";
  const release2 = osRelease();
  return {
    cgroupVersion,
    swapLimit: cgroupVersion === 2 || existsSync(swapFile),
    capabilities: boundingSet(),
    kernel: release(),
    hostname: hostname(),
    operatingSystem: release2["PRETTY_NAME"] ?? "Linux",
    osVersion: release2["VERSION_ID"] ?? "",
    cpus: availableParallelism(),
    memory: totalmem(),
  };
}

function boundingSet(): string[] {
  const status = readFileSync("/proc/self/status", "utf8");
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return capabilitiesOfMask(mask);
}

function osRelease(): Record<string, string> {
  const values: Record<string, string> = {};
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    if (!existsSync(path)) continue;
    for (const line of readFileSync(path, "utf8").split("\n")) {
      const match = /^([A-Z_]+)=(.*)$/.exec(line);
      if (match !== null) values[match[1]!] = match[2]!.replace(/^["']|["']$/g, "");
    }
    break;
  }
  return values;
}
