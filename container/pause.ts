// Suspending all processes of a container, and letting them go on.

import { Failure } from "../base/errors.ts";
import { freeze, thaw } from "./cgroups/freezer.ts";
import { failpoint } from "./failpoints.ts";
import { type Container, statusOf } from "./state.ts";

export function pauseContainer(container: Container): void {
  const status = statusOf(container);
  if (status !== "running" && status !== "created") throw new Failure("failed_precondition", "container not running");
  freeze(container.record.cgroup_paths);
  failpoint("pause.frozen");
}

export function resumeContainer(container: Container): void {
  if (statusOf(container) !== "paused") throw new Failure("failed_precondition", "container not paused");
  thaw(container.record.cgroup_paths);
  failpoint("resume.thawed");
}
