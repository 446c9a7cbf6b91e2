// Mounts whose content comes from outside the container: criu leaves them out of the images by name, and a restore says
// what is to be mounted in their places.
//
//     dump:    mount point ─▶ name        restore:    name ─▶ host's path
//
// Masked files all have the name "/dev/null"; every other mount's name is its mount point.

import { ExtMountMap } from "../../api/criu/gen/rpc.ts";
import { ENOENT, ENOTDIR, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { attach, cloneTree, MS_BIND, MS_REC, mount, tryOpenInRoot } from "../../linux/mount.ts";
import type { CgroupPaths } from "../cgroups/manager.ts";
import { STANDARD_DEVICES } from "../init/devices.ts";
import { ensureTarget } from "../init/target.ts";
import { cleanPath } from "../spec/check.ts";
import type { MountPlan } from "../spec/mounts.ts";
import type { LinuxSpec } from "../spec/schema.ts";

const MASK = "/dev/null";

export interface MountedContainer {
  rootfs: string;
  bundle: string;
  mounts: readonly MountPlan[];
  linux: Pick<LinuxSpec, "maskedPaths" | "devices">;
  cgroups: CgroupPaths;
  cgroupNamespace: boolean;
}

/** `pid`: the first process, through whose root it is looked which masked paths are files. */
export function dumpedMounts(container: MountedContainer, pid: number): ExtMountMap[] {
  const points = externalPoints(container).map(({ point }) => entry(point, point));
  const masks: ExtMountMap[] = [];
  for (const path of container.linux.maskedPaths) {
    const found = fs.stat(`/proc/${pid}/root/${path}`);
    if (found !== null && (found.mode & fs.S_IFMT) !== fs.S_IFDIR) masks.push(entry(path, MASK));
  }
  return [...points, ...masks];
}

export function restoredMounts(container: MountedContainer): ExtMountMap[] {
  const points = externalPoints(container).map(({ point, source }) => entry(point, source));
  return container.linux.maskedPaths.length > 0 ? [...points, entry(MASK, MASK)] : points;
}

function entry(key: string, val: string): ExtMountMap {
  return ExtMountMap.create({ key, val });
}

interface ExternalPoint {
  /** Inside the container. */
  point: string;
  /** On the host. */
  source: string;
}

function externalPoints(container: MountedContainer): ExternalPoint[] {
  const { rootfs, mounts, linux } = container;
  const points: ExternalPoint[] = [];
  using root = fs.open(rootfs, fs.O_PATH | fs.O_DIRECTORY);
  const add = (destination: string, source: string) =>
    points.push({ point: pointIn(root.number, destination), source });
  for (const plan of mounts) {
    if (plan.remount) continue;
    if (plan.bind) add(plan.destination, sourceOf(container, plan));
    // One real mount on v2 and in a cgroup namespace; else a bind of the container's directory of each hierarchy.
    else if (plan.type === "cgroup" && !container.cgroupNamespace) {
      for (const [name, path] of boundHierarchies(container.cgroups)) add(`${plan.destination}/${name}`, path);
    }
  }
  // Only where they are binds (in a user namespace); a name without a mount does no harm.
  for (const path of STANDARD_DEVICES) add(path, path);
  for (const device of linux.devices) add(device.path, device.path);
  return points;
}

function sourceOf({ bundle }: MountedContainer, plan: MountPlan): string {
  return plan.source.startsWith("/") ? plan.source : cleanPath(`${bundle}/${plan.source}`);
}

/** v1's, by the names under which they are mounted; empty on v2. */
function boundHierarchies(cgroups: CgroupPaths): Map<string, string> {
  const byPath = new Map<string, string[]>();
  for (const [name, path] of Object.entries(cgroups)) {
    if (name !== "") byPath.set(path, [...(byPath.get(path) ?? []), name.replace(/^name=/, "")]);
  }
  return new Map([...byPath].map(([path, names]) => [names.join(","), path]));
}

/** The mount point with the root's links followed; parts that the root does not have stay as they are. */
function pointIn(root: number, destination: string): string {
  const path = cleanPath(destination);
  const found = tryOpenInRoot(root, path, fs.O_PATH);
  if (found === -ENOENT || found === -ENOTDIR) {
    const slash = path.lastIndexOf("/");
    return slash <= 0 ? path : cleanPath(`${pointIn(root, path.slice(0, slash))}${path.slice(slash)}`);
  }
  using place = new fs.Fd(must("open", path, found));
  const [inside, top] = [place.number, root].map((fd) => fs.readLink(`/proc/self/fd/${fd}`));
  return cleanPath(inside!.slice(top! === "/" ? 0 : top!.length));
}

/** Inside own mounts (own-mounts.ts). criu wants the root to be a mount point upon which nothing else is mounted, so it
 *  gets the root bound to a place of its own. Then mount points that are missing are made in the root, as at the
 *  container's creation: binds are mounted for that, because a mount point may lie in one. */
export function prepareRoot(container: MountedContainer, place: string): void {
  mount({ source: container.rootfs, target: place, flags: MS_BIND | MS_REC });
  using root = fs.open(container.rootfs, fs.O_PATH | fs.O_DIRECTORY);
  for (const plan of container.mounts) {
    // v1's lie on a tmpfs and v2's in sysfs; what is on a tmpfs is in the images.
    if (plan.remount || plan.type === "cgroup" || isOnTmpfs(plan, container.mounts)) continue;
    using source = plan.bind ? fs.open(sourceOf(container, plan), fs.O_PATH) : null;
    const directory = source === null || (fs.statFd(source.number).mode & fs.S_IFMT) === fs.S_IFDIR;
    using target = ensureTarget(root.number, cleanPath(plan.destination), directory ? "directory" : "file");
    if (source === null) continue;
    using tree = cloneTree(source.number, "", true);
    attach(tree.number, target.number);
  }
}

function isOnTmpfs(plan: MountPlan, mounts: readonly MountPlan[]): boolean {
  return mounts.some(({ type, destination }) => type === "tmpfs" && plan.destination.startsWith(`${destination}/`));
}
