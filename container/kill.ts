// Signals to a container: to its first process, or to all it has.

import { Failure } from "../base/errors.ts";
import { kill, killByPidfd, SIGKILL } from "../linux/signal.ts";
import { thawIfFrozen } from "./cgroups/freezer.ts";
import { allProcesses, mainPath } from "./cgroups/manager.ts";
import { failpoint } from "./failpoints.ts";
import { hasOwnPids } from "./remove.ts";
import { type Container, holdInit } from "./state.ts";

/** Of a rootless container: only its first process is known then. */
const NO_CGROUP = "cgroups not configured for container";

export interface SignalOptions {
  signal: number;
  /** To every process of the container. */
  all: boolean;
  warn(message: string): void;
}

export function signalContainer(container: Container, { signal, all, warn }: SignalOptions): void {
  const { record } = container;
  // In a shared pid namespace the end of the first process leaves the others behind, so SIGKILL means all of them.
  if (all || (signal === SIGKILL && !hasOwnPids(record.config.namespaces))) {
    const unknown = mainPath(record.cgroup_paths) === null;
    if (unknown && all) throw new Failure("failed_precondition", NO_CGROUP);
    const pids = allProcesses(record.cgroup_paths);
    if (!unknown && !all && pids.length === 0) throw new Failure("failed_precondition", "container not running");
    for (const pid of pids) kill(pid, signal);
    if (!unknown) return;
    warn(
      `failed to kill all processes, possibly due to lack of cgroup (Hint: enable cgroup v2 delegation): ${NO_CGROUP}`,
    );
  }
  using pidfd = holdInit(record);
  if (pidfd === null || !killByPidfd(pidfd.number, signal)) {
    throw new Failure("failed_precondition", "container not running");
  }
  // v1 keeps a frozen process even from dying until it is thawed.
  failpoint("kill.sent");
  if (signal === SIGKILL) thawIfFrozen(record.cgroup_paths);
}
