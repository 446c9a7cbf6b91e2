// Whom a container's cgroup belongs to. With a user namespace, a cgroup namespace and a cgroup filesystem that may be
// written, the container is meant to make cgroups below its own (systemd runs in it, say): then the user its program
// runs as owns what cgroup v2 delegates. Called by create.ts where systemd keeps the cgroup, as the original does.

import { door } from "../../../linux/door.ts";
import { ENOENT, must } from "../../../linux/errno.ts";
import { readTextIfThere } from "../../../linux/fd.ts";
import { MOUNT_ATTR_RDONLY } from "../../../linux/mount.ts";
import * as nr from "../../../linux/numbers.ts";
import { hostIdOf } from "../../mappings.ts";
import type { Plan } from "../../plan.ts";
import { cleanPath } from "../../spec/check.ts";
import type { CgroupPaths } from "../manager.ts";

/** The kernel's list of what is delegated with a directory (cgroups(7)). */
const DELEGATED = "/sys/kernel/cgroup/delegate";
const UNCHANGED = -1;

export function giveUnit(plan: Plan, paths: CgroupPaths): void {
  const path = paths[""];
  const { namespaces, mappings, mounts, process } = plan;
  if (path === undefined || namespaces.get("user") !== "" || namespaces.get("cgroup") !== "") return;
  const writable = mounts.some(
    ({ type, destination, set }) =>
      type === "cgroup" && cleanPath(destination) === "/sys/fs/cgroup" && (set & MOUNT_ATTR_RDONLY) === 0,
  );
  const owner = hostIdOf(mappings.uidMappings, process.spec.user.uid);
  if (!writable || owner === null) return;
  give(path, owner);
  for (const file of (readTextIfThere(DELEGATED) ?? "").trim().split("\n")) give(`${path}/${file}`, owner);
}

function give(path: string, owner: number): void {
  const given = door().syscall(nr.SYS_chown, path, owner, UNCHANGED);
  if (given !== -ENOENT) must("chown", path, given);
}
