// The mount of type "cgroup". On v2 one filesystem; on v1 a small tmpfs with one mount per hierarchy: the hierarchy
// itself inside a cgroup namespace of the container's own, else a bind of the container's directory in it.

import { door } from "../../linux/door.ts";
import { EBUSY, ENOENT, EPERM, errnoOf, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import { findHierarchies, type Hierarchy } from "../cgroups/hierarchies.ts";
import type { CgroupPaths } from "../cgroups/manager.ts";
import { cleanPath } from "../spec/check.ts";
import type { MountPlan } from "../spec/mounts.ts";
import type { Birth } from "./birth.ts";
import { joinCgroups } from "./cgroup.ts";
import { ensureTarget } from "./target.ts";

const ROOT = "/sys/fs/cgroup";
const SAFE = m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC;

export function mountCgroups(birth: Birth, plan: MountPlan): void {
  joinCgroups(birth);
  using target = ensureTarget(birth.root.number, cleanPath(plan.destination), "directory");
  const cgroupPaths = birth.plan.rootless.cgroups ? placesOf(birth) : birth.cgroupPaths;
  const unified = cgroupPaths[""];
  const v1 = Object.keys(cgroupPaths).some((name) => name !== "");
  if (!v1) {
    if (unified !== undefined) mountUnified(birth, plan, { target: target.number, path: unified });
    return;
  }
  using top = m.newMount("tmpfs", "tmpfs", ["mode=755"], SAFE);
  m.attach(top.number, target.number);
  applyPropagation(top.number, plan);
  const attributes = SAFE | (plan.set & m.MOUNT_ATTR_RDONLY);
  // The hierarchies' names as they are mounted; the record splits controllers that share one.
  for (const hierarchy of hierarchiesOf(cgroupPaths)) {
    const label = hierarchy.name.startsWith("name=") ? hierarchy.name.slice(5) : hierarchy.name;
    using mounted = birth.plan.namespaces.has("cgroup")
      ? ownHierarchy(hierarchy, attributes)
      : boundHierarchy(hierarchy.mountpoint, attributes | foreign(birth, hierarchy));
    must("mkdir", label, door().syscall(nr.SYS_mkdirat, top.number, label, 0o755));
    m.attachAt(mounted.number, top.number, label);
    applyPropagation(mounted.number, plan);
    const parts = label.split(",");
    if (parts.length > 1) {
      for (const part of parts) must("symlink", part, door().syscall(nr.SYS_symlinkat, label, top.number, part));
    }
  }
}

/** With the places where the runtime itself is, for hierarchies in which it could make none for the container. */
function placesOf({ cgroupPaths }: Birth): CgroupPaths {
  const places: Record<string, string> = {};
  for (const { name, mountpoint, own } of findHierarchies()) {
    for (const part of name.split(",")) places[part] = `${mountpoint}${own === "/" ? "" : own}`;
  }
  return { ...places, ...cgroupPaths };
}

/** The v1 hierarchies, in the order in which the host's list has them from the oldest on. */
function hierarchiesOf(cgroupPaths: CgroupPaths): Hierarchy[] {
  const found: Hierarchy[] = [];
  const byPath = new Map<string, string[]>();
  for (const [name, path] of Object.entries(cgroupPaths)) {
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

/** The runtime's own place is not the container's to write to. */
function foreign({ cgroupPaths }: Birth, { name }: Hierarchy): number {
  return cgroupPaths[name.split(",")[0]!] === undefined ? m.MOUNT_ATTR_RDONLY : 0;
}

function boundHierarchy(path: string, attributes: number): fs.Fd {
  const tree = m.cloneTree(fs.AT_FDCWD, path, true);
  m.changeMount(tree.number, { set: attributes });
  return tree;
}

function mountUnified(birth: Birth, plan: MountPlan, at: { target: number; path: string }): void {
  const options = plan.options.filter((option) => option !== "ro");
  let mounted: fs.Fd;
  try {
    mounted = m.newMount("cgroup2", plan.source, options, plan.set);
  } catch (thrown) {
    // Refused without rights over the cgroup namespace: the host's mount is bound instead, as runc does.
    if (errnoOf(thrown) !== EPERM && errnoOf(thrown) !== EBUSY) throw thrown;
    mounted = bindUnified(birth, plan, at.path);
  }
  using owned = mounted;
  m.attach(owned.number, at.target);
  applyPropagation(owned.number, plan);
}

/** With a cgroup namespace the container's part of the tree, else the whole. A rootless container must not write what
 *  its user may write there (CVE-2023-25809): then read-only, and what cannot be found is covered. */
function bindUnified(birth: Birth, plan: MountPlan, path: string): fs.Fd {
  const { namespaces, rootless } = birth.plan;
  const own = namespaces.has("cgroup");
  const readOnly = rootless.cgroups && !own ? m.MOUNT_ATTR_RDONLY : 0;
  try {
    const tree = m.cloneTree(fs.AT_FDCWD, own ? path : ROOT, true);
    m.changeMount(tree.number, { set: plan.set | readOnly });
    return tree;
  } catch (thrown) {
    if (errnoOf(thrown) !== ENOENT || !rootless.cgroups) throw thrown;
    return m.newMount("tmpfs", "tmpfs", ["ro", "nr_blocks=1", "nr_inodes=1"], m.MOUNT_ATTR_RDONLY);
  }
}

function applyPropagation(mount: number, plan: MountPlan): void {
  for (const { flag, recursive } of plan.propagation) m.changeMount(mount, { propagation: flag, recursive });
}
