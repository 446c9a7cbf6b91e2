// Which processes a container has, by its control groups.

import { Failure } from "../base/errors.ts";
import { allProcesses, mainPath } from "./cgroups/manager.ts";
import type { Container } from "./state.ts";

/** Their pids, as this process sees them. */
export function processesOf({ record }: Container): number[] {
  if (mainPath(record.cgroup_paths) === null) {
    const reason = "unable to get all container pids: cgroups not configured for container";
    throw new Failure("failed_precondition", reason);
  }
  return allProcesses(record.cgroup_paths);
}

/** In the original's words, for which none is null. */
export function pidsAsJson(pids: readonly number[]): string {
  return `${pids.length === 0 ? "null" : JSON.stringify(pids)}\n`;
}
