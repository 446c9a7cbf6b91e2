// Signals to a container: to its first process, or to all it has.

import { Failure } from "../base/errors.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { thaw } from "./cgroups/freezer.ts";
import { allProcesses } from "./cgroups/manager.ts";
import { hasOwnPids } from "./remove.ts";
import { type Container, isAlive, statusOf } from "./state.ts";

export function signalContainer(container: Container, signal: number, all: boolean): void {
  const { record } = container;
  // In a shared pid namespace the end of the first process leaves the others behind, so SIGKILL means all of them.
  if (all || (signal === SIGKILL && !hasOwnPids(record.config.namespaces))) {
    const pids = allProcesses(record.cgroup_paths);
    if (!all && pids.length === 0) throw new Failure("failed_precondition", "container not running");
    for (const pid of pids) kill(pid, signal);
    return;
  }
  if (!isAlive(record) || !kill(record.init_process_pid, signal)) {
    throw new Failure("failed_precondition", "container not running");
  }
  // v1 keeps a frozen process even from dying until it is thawed.
  if (signal === SIGKILL && statusOf(container) === "paused") thaw(record.cgroup_paths);
}
