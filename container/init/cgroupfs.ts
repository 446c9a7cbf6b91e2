// The mount of type "cgroup". On v2 one filesystem; on v1 a small tmpfs with one mount per hierarchy: the hierarchy
// itself inside a cgroup namespace of the container's own, else a bind of the container's directory in it.

import { door } from "../../linux/door.ts";
import { EBUSY, EPERM, errnoOf, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import type { Hierarchy } from "../cgroups/hierarchies.ts";
import { cleanPath } from "../spec/check.ts";
import type { MountPlan } from "../spec/mounts.ts";
import type { Birth } from "./birth.ts";
import { joinCgroups } from "./cgroup.ts";
import { ensureTarget } from "./target.ts";

const SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC;

export function mountCgroups(birth: Birth, plan: MountPlan): void {
  joinCgroups(birth);
  using target = ensureTarget(birth.root.number, cleanPath(plan.destination), "directory");
  const { cgroupPaths } = birth;
  const unified = cgroupPaths[""];
  const v1 = Object.keys(cgroupPaths).some((name) => name !== "");
  if (!v1) {
    if (unified !== undefined) mountUnified(birth, plan, target.number);
    return;
  }
  using top = m.newMount("tmpfs", "tmpfs", ["mode=755"], SAFE);
  m.attach(top.number, target.number);
  applyPropagation(top.number, plan);
  const attributes = SAFE | (plan.set & m.MOUNT_ATTR_RDONLY);
  // The hierarchies' names as they are mounted; the record splits controllers that share one.
  for (const hierarchy of hierarchiesOf(birth)) {
    const label = hierarchy.name.replace(/^name=/, "");
    using mounted = birth.plan.namespaces.has("cgroup")
      ? ownHierarchy(hierarchy, attributes)
      : boundHierarchy(cgroupPaths[hierarchy.name.split(",")[0]!]!, attributes);
    must("mkdir", label, door().syscall(nr.SYS_mkdirat, top.number, label, 0o755));
    using place = m.openPlain(top.number, label, fs.O_PATH);
    m.attach(mounted.number, place.number);
    applyPropagation(mounted.number, plan);
    const parts = label.split(",");
    if (parts.length > 1) {
      for (const part of parts) must("symlink", part, door().syscall(nr.SYS_symlinkat, label, top.number, part));
    }
  }
}

/** The v1 hierarchies, in the order in which the host's list has them from the oldest on. */
function hierarchiesOf(birth: Birth): Hierarchy[] {
  const found: Hierarchy[] = [];
  const byPath = new Map<string, string[]>();
  for (const [name, path] of Object.entries(birth.cgroupPaths)) {
    if (name === "") continue;
    byPath.set(path, [...(byPath.get(path) ?? []), name]);
  }
  for (const [path, names] of byPath) found.push({ name: names.join(","), mountpoint: path, own: "" });
  return found.reverse();
}

function ownHierarchy(hierarchy: Hierarchy, attributes: number): fs.Fd {
  // The namespace makes the container's own cgroup the root of what is mounted.
  const options = hierarchy.name.startsWith("name=") ? ["none", hierarchy.name] : hierarchy.name.split(",");
  return m.newMount(
    "cgroup",
    hierarchy.name.startsWith("name=") ? hierarchy.name.slice(5) : "cgroup",
    options,
    attributes,
  );
}

function boundHierarchy(path: string, attributes: number): fs.Fd {
  const tree = m.cloneTree(fs.AT_FDCWD, path, true);
  m.changeMount(tree.number, { set: attributes });
  return tree;
}

function mountUnified(birth: Birth, plan: MountPlan, target: number): void {
  let mounted: fs.Fd;
  try {
    mounted = m.newMount(
      "cgroup2",
      plan.source,
      plan.options.filter((option) => option !== "ro"),
      plan.set,
    );
  } catch (thrown) {
    // Refused without rights over the cgroup namespace: the host's mount is bound instead, as runc does.
    if (errnoOf(thrown) !== EPERM && errnoOf(thrown) !== EBUSY) throw thrown;
    mounted = m.cloneTree(
      fs.AT_FDCWD,
      birth.plan.namespaces.has("cgroup") ? "/sys/fs/cgroup" : birth.cgroupPaths[""]!,
      true,
    );
    m.changeMount(mounted.number, { set: plan.set });
  }
  using owned = mounted;
  m.attach(owned.number, target);
  applyPropagation(owned.number, plan);
}

function applyPropagation(mount: number, plan: MountPlan): void {
  for (const { flag, recursive } of plan.propagation) m.changeMount(mount, { propagation: flag, recursive });
}
