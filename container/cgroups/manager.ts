// A container's cgroups: made, joined, emptied and removed, in every hierarchy at once.
//
//     make ──▶ (child joins: v1 writes 0 to tasks, v2 is born inside) ──▶ limits ──▶ … ──▶ killAll ──▶ remove
//
// What is known of them on disk is the map of hierarchy name to directory in state.json (cgroup_paths).

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EBUSY, EEXIST, ENOENT, must, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import { pause, processId } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import { cgroupName, findHierarchies, type Hierarchy, placeIn } from "./hierarchies.ts";

/** A cgroup that its last process just left may be busy for a moment; this many waits of REMOVE_WAIT milliseconds. */
const REMOVE_ATTEMPTS = 60;
const REMOVE_WAIT = 5;
const KILL_ROUNDS = 100;

/** Controller or hierarchy name ("" is v2) to directory. */
export type CgroupPaths = Readonly<Record<string, string>>;

export interface Cgroups {
  paths: CgroupPaths;
  /** The unified hierarchy alone carries the controllers. */
  unified: boolean;
}

/** Only names, for a record of what is about to be made. */
export function placeCgroups(cgroupsPath: string, id: string): { cgroups: Cgroups; hierarchies: Hierarchy[] } {
  const hierarchies = findHierarchies();
  const own = cgroupName(cgroupsPath, id);
  const paths: Record<string, string> = {};
  for (const hierarchy of hierarchies) {
    // Controllers mounted together share a directory and are still named apart, as runc's record has them.
    const place = placeIn(hierarchy, own);
    for (const name of hierarchy.name.split(",")) paths[name] = place;
  }
  const unified = hierarchies.length === 1 && hierarchies[0]!.name === "";
  return { cgroups: { paths, unified }, hierarchies };
}

/** Makes what is missing; one that is there already was found empty (refuseOccupied). */
export function makeCgroups(cgroups: Cgroups, hierarchies: readonly Hierarchy[]): void {
  for (const hierarchy of hierarchies) {
    const names = hierarchy.name.split(",");
    const path = cgroups.paths[names[0]!]!;
    const made = makeLeaf(path);
    if (cgroups.unified) makeUnified(hierarchy.mountpoint, path);
    else if (made === "no parent") makeChain(hierarchy, path);
    if (names.includes("cpuset")) inheritCpuset(hierarchy.mountpoint, path, made === "new");
  }
}

/** Before anything is recorded as a container's: a cgroup with processes belongs to somebody else, and what is recorded
 *  is killed when a broken-off create is cleaned up. */
export function refuseOccupied(paths: CgroupPaths): void {
  for (const path of new Set(Object.values(paths))) {
    const count = processesIn(path).length;
    if (count > 0) {
      throw new Failure("failed_precondition", `container's cgroup is not empty: ${count} process(es) found`);
    }
  }
}

function makeLeaf(path: string): "new" | "old" | "no parent" {
  const made = door().syscall(nr.SYS_mkdir, path, 0o755);
  if (made === -ENOENT) return "no parent";
  if (made === -EEXIST) return "old";
  must("mkdir", path, made);
  return "new";
}

function makeChain(hierarchy: Hierarchy, path: string): void {
  const cpuset = hierarchy.name.split(",").includes("cpuset");
  for (let at = path.indexOf("/", hierarchy.mountpoint.length + 1); ; at = path.indexOf("/", at + 1)) {
    const part = at < 0 ? path : path.slice(0, at);
    fs.makeDirectories(part, 0o755);
    if (cpuset) inheritCpuset(hierarchy.mountpoint, part);
    if (at < 0) return;
  }
}

/** A new v1 cpuset is empty, and nothing may join it before it has processors and memory nodes. `empty`: known to be
 *  (or to have its parent's already, which it is given once more). */
function inheritCpuset(mountpoint: string, path: string, empty = false): void {
  const parent = path.slice(0, path.lastIndexOf("/"));
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (!empty && (fs.readTextIfThere(`${path}/${file}`) ?? "x").trim() !== "") continue;
    if (parent.length > mountpoint.length) inheritCpuset(mountpoint, parent);
    const inherited = fs.readTextIfThere(`${parent}/${file}`);
    if (inherited !== null) writeControl(`${path}/${file}`, inherited.trim());
  }
}

/** v2: every level hands all its controllers on. One that cannot be handed on (a threaded parent) is left out. */
function makeUnified(mountpoint: string, path: string): void {
  const available = fs.readText(`${mountpoint}/cgroup.controllers`).trim().split(" ");
  for (let at = mountpoint.length; at >= 0; at = path.indexOf("/", at + 1)) {
    const part = path.slice(0, at);
    fs.makeDirectories(part, 0o755);
    const handed = (fs.readTextIfThere(`${part}/cgroup.subtree_control`) ?? "").trim().split(" ");
    for (const controller of available) {
      if (!handed.includes(controller)) tryWrite(`${part}/cgroup.subtree_control`, `+${controller}`);
    }
    if (path.indexOf("/", at + 1) < 0) break;
  }
  fs.makeDirectories(path, 0o755);
}

/** A negative errno on failure. */
export function tryWrite(path: string, value: string): number {
  const fd = door().syscall(nr.SYS_openat, fs.AT_FDCWD, path, fs.O_WRONLY | fs.O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const bytes = door().encode(value);
  const result = door().syscall(nr.SYS_write, fd, bytes, bytes.length);
  fs.close(fd);
  return result;
}

/** Writes a control file; the failure names the value and the file, as runc's does. */
export function writeControl(path: string, value: string): void {
  const result = tryWrite(path, value);
  if (result < 0) throw new SyscallFailure("write", -result, path);
}

/** v1: the `tasks` files, opened with the parent's rights; the child writes 0 to each. A pid written to cgroup.procs
 *  costs a grace period of the kernel's threadgroup lock (milliseconds); a thread that moves itself through `tasks`
 *  does not. */
export function openTasks(cgroups: Cgroups): fs.Fd[] {
  const paths = Object.keys(cgroups.paths).flatMap((name) => (name === "" ? [] : cgroups.paths[name]!));
  return [...new Set(paths)].map((path) => fs.open(`${path}/tasks`, fs.O_WRONLY));
}

/** The child's part: joins and closes. */
export function joinTasks(tasks: readonly fs.Fd[]): void {
  const zero = Uint8Array.of(0x30);
  for (const file of tasks) {
    must("write", "cgroup tasks", door().syscall(nr.SYS_write, file.number, zero, 1));
    file.close();
  }
}

/** v2 (also beside v1): a directory to be born in, which costs nothing; joining later would cost the grace period. */
export function openBirthplace(cgroups: Cgroups): fs.Fd | null {
  const path = cgroups.paths[""];
  return path === undefined ? null : fs.open(path, fs.O_RDONLY | fs.O_DIRECTORY);
}

/** Pids in the cgroup and in all below it. */
export function processesIn(path: string): number[] {
  const own = fs.readTextIfThere(`${path}/cgroup.procs`);
  if (own === null) return [];
  const pids = own.split("\n").filter((line) => line !== "" && line !== "0");
  return [...pids.map(Number), ...subgroups(path).flatMap(processesIn)];
}

function subgroups(path: string): string[] {
  // Every subdirectory is one more link of the directory, so a leaf is seen without listing it.
  if ((fs.stat(path)?.links ?? 2) <= 2) return [];
  return fs
    .listDirectory(path)
    .filter((entry) => entry.kind === 4)
    .map((entry) => `${path}/${entry.name}`);
}

/** The directory whose list of processes is asked: one that no other tool shares. */
export function mainPath(paths: CgroupPaths): string | null {
  return paths["devices"] ?? paths["pids"] ?? paths["memory"] ?? paths[""] ?? Object.values(paths)[0] ?? null;
}

export function allProcesses(paths: CgroupPaths): number[] {
  const path = mainPath(paths);
  return path === null ? [] : processesIn(path);
}

/** Kills until none is left or nothing changes for a while. */
export function killAll(paths: CgroupPaths): void {
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const pids = Object.values(paths).flatMap((path) => processesIn(path));
    if (pids.length === 0) return;
    refuseOwn(pids);
    for (const pid of new Set(pids)) kill(pid, SIGKILL);
    pause(Math.min(round, 10));
  }
}

/** A record that names a cgroup around this very process is wrong, and acting on it would take the host down. */
function refuseOwn(pids: readonly number[]): void {
  if (!pids.includes(processId())) return;
  throw new Failure("failed_precondition", "a cgroup of the container's record holds this runtime, too: left alone");
}

/** Removes what is there; a cgroup still in use after the wait is an error. What is no cgroup is not touched. */
export function removeCgroups(paths: CgroupPaths): void {
  for (const path of new Set(Object.values(paths))) {
    if (path.startsWith("/sys/fs/cgroup/") || isCgroup(path)) removeTree(path);
  }
}

// include/uapi/linux/magic.h
const CGROUP_SUPER_MAGIC = 0x27e0eb;
const CGROUP2_SUPER_MAGIC = 0x63677270;

function isCgroup(path: string): boolean {
  // struct statfs, 120 bytes: long f_type first
  const statfs = new BigInt64Array(15);
  if (door().syscall(nr.SYS_statfs, path, statfs) < 0) return false;
  return statfs[0] === BigInt(CGROUP_SUPER_MAGIC) || statfs[0] === BigInt(CGROUP2_SUPER_MAGIC);
}

function removeTree(path: string): void {
  for (let attempt = 0; ; attempt++) {
    const result = door().syscall(nr.SYS_rmdir, path);
    if (result >= 0 || result === -ENOENT) return;
    if (result !== -EBUSY || attempt >= REMOVE_ATTEMPTS) must("rmdir", path, result);
    if (attempt === 0) refuseOwn(processesIn(path));
    const below = subgroups(path);
    for (const child of below) removeTree(child);
    if (below.length === 0) pause(REMOVE_WAIT);
  }
}
