// Which cgroup hierarchies this machine has, where they are mounted and where this process stands in each.
// Legacy (v1), hybrid and unified (v2) all come out as a list; a unified machine has one entry.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { readText, readTextIfThere } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";

export interface Hierarchy {
  /** v1: "memory", "cpu,cpuacct", "name=systemd"; v2: "". */
  name: string;
  mountpoint: string;
  /** Where this process is, below the mountpoint. */
  own: string;
}

const ROOT = "/sys/fs/cgroup";

export function findHierarchies(): Hierarchy[] {
  const found: Hierarchy[] = [];
  let mounts: MountLine[] | null = null;
  for (const line of readText("/proc/self/cgroup").trimEnd().split("\n")) {
    const place = parsePlace(line);
    if (place === null) continue;
    const { name, own } = place;
    // The usual places first: reading mountinfo costs with every mount of the host.
    const usual = usualPlace(name);
    if (usual !== null && isThere(`${usual}${own}/${name === "" ? "cgroup.procs" : "tasks"}`)) {
      found.push({ name, mountpoint: usual, own });
      continue;
    }
    mounts ??= readMounts();
    const mounted = mounts.find((mount) => mount.holds(name));
    if (mounted !== undefined) found.push({ name, mountpoint: mounted.mountpoint, own: below(mounted.root, own) });
  }
  return found;
}

/** A line of /proc/PID/cgroup: "4:memory:/some/where". The name has no colon. */
function parsePlace(line: string): { name: string; own: string } | null {
  const [first, second] = [line.indexOf(":"), line.indexOf(":", line.indexOf(":") + 1)];
  return first < 0 || second <= first ? null : { name: line.slice(first + 1, second), own: line.slice(second + 1) };
}

function usualPlace(name: string): string | null {
  if (name !== "") return `${ROOT}/${name.startsWith("name=") ? name.slice(5) : name}`;
  if (isThere(`${ROOT}/cgroup.controllers`)) return ROOT;
  return isThere(`${ROOT}/unified/cgroup.controllers`) ? `${ROOT}/unified` : null;
}

function isThere(path: string): boolean {
  return door().syscall(nr.SYS_access, path, 0) === 0;
}

interface MountLine {
  root: string;
  mountpoint: string;
  holds(name: string): boolean;
}

function readMounts(): MountLine[] {
  const lines: MountLine[] = [];
  for (const line of readText("/proc/self/mountinfo").split("\n")) {
    const middle = line.indexOf(" - cgroup");
    if (middle < 0) continue;
    const [front, back] = [line.slice(0, middle), line.slice(middle + 3)];
    const [, , , root, mountpoint] = front.split(" ");
    const [type, , options] = back.split(" ");
    if (root === undefined || mountpoint === undefined || (type !== "cgroup" && type !== "cgroup2")) continue;
    const words = (options ?? "").split(",");
    const holds = (name: string) =>
      name === "" ? type === "cgroup2" : type === "cgroup" && name.split(",").every((part) => words.includes(part));
    lines.push({ root, mountpoint, holds });
  }
  return lines;
}

/** A hierarchy may be mounted from a directory in it (inside another container): paths count from there. */
function below(root: string, own: string): string {
  if (root === "/" || root.startsWith("/..")) return own === "/" ? "" : own;
  return own === root ? "" : own.startsWith(`${root}/`) ? own.slice(root.length) : "";
}

/** linux.cgroupsPath (or the id, when there is none) as the name of a cgroup, without slashes at its end. */
export function cgroupName(cgroupsPath: string, id: string): string {
  const path = cgroupsPath === "" ? id : cgroupsPath;
  if (path.split("/").includes("..")) throw new Failure("invalid_argument", `linux.cgroupsPath ${path} contains ".."`);
  if (/^[/.]*$/.test(path)) throw new Failure("invalid_argument", `linux.cgroupsPath ${path} is no cgroup of its own`);
  return path.replace(/\/+$/, "");
}

/** The directory of that cgroup in this hierarchy: absolute from the hierarchy's root, relative from where this process
 *  stands. */
export function placeIn(hierarchy: Hierarchy, name: string): string {
  if (name.startsWith("/")) return `${hierarchy.mountpoint}${name}`;
  const own = hierarchy.own === "/" ? "" : hierarchy.own;
  // A v2 cgroup with processes of its own may not hand controllers to children, so the parent's parent is used.
  const base = hierarchy.name === "" && hierarchy.mountpoint === ROOT ? own.replace(/\/[^/]*$/, "") : own;
  return `${hierarchy.mountpoint}${base}/${name}`;
}

/** Which cgroup another process is in, per hierarchy name. */
export function cgroupsOf(pid: number): Map<string, string> {
  const places = new Map<string, string>();
  for (const line of (readTextIfThere(`/proc/${pid}/cgroup`) ?? "").split("\n")) {
    const place = parsePlace(line);
    if (place !== null) places.set(place.name, place.own);
  }
  return places;
}
