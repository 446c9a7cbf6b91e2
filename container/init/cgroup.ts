// Stage: into the container's cgroups. Usually late: the parent makes them while this child mounts, and says when they
// are there. Early (descriptors opened by the parent before the clone) where this child could not open them itself.

import { NAMESPACES, unshare } from "../../linux/namespace.ts";
import { joinTasks, openTasks } from "../cgroups/manager.ts";
import { awaitGo } from "../messages.ts";
import type { Birth } from "./birth.ts";

/** Before the first use of the cgroups: a mount of type cgroup, a cgroup namespace. Later calls do nothing. */
export function joinCgroups(birth: Birth): void {
  if (birth.joined) return;
  birth.joined = true;
  // Also when systemd moves this process: only then is it where it belongs.
  if (birth.tasks === null || birth.plan.unit !== null) awaitGo(birth.dialogue);
  joinTasks(birth.tasks ?? openTasks({ paths: birth.cgroupPaths, unified: false }));
  // The root of a cgroup namespace is where its maker stands, so it is made only now.
  if (birth.isNew("cgroup")) unshare(NAMESPACES.cgroup.flag);
}
