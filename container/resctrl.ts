// linux.intelRdt: shares of cache and memory bandwidth, by the kernel's resctrl filesystem. A container is put into a
// group there (a directory: its own, named by its id, or one that closID names and others share), and may have a group
// of its own for monitoring.
//
//     <resctrl>/<group>/{tasks,schemata}          <resctrl>/<group>/mon_groups/<id>/tasks
//
// The runtime-spec: config-linux.md, "IntelRdt". Known to the kernel as Documentation/filesystems/resctrl.rst.

import { Failure, messageOf } from "../base/errors.ts";
import { quote } from "../base/flags/go.ts";
import { door } from "../linux/door.ts";
import { EEXIST, ENOENT, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { tryFilesystemType } from "../linux/mount.ts";
import * as nr from "../linux/numbers.ts";
import type { LinuxSpec } from "./spec/schema.ts";

const USUAL_PLACE = "/sys/fs/resctrl";
const RDTGROUP_SUPER_MAGIC = 0x7655821;

type ResctrlSpec = NonNullable<LinuxSpec["intelRdt"]>;

export interface ResctrlPlan {
  root: string;
  /** The group's directory. */
  path: string;
  /** Lines of the group's schemata; none: it must be there already. */
  lines: string[];
  /** The group for monitoring alone; null without one. */
  monitor: string | null;
  /** Whether the group is the container's alone, to be removed with it. */
  own: boolean;
}

/** Where resctrl is mounted; null when the machine has none. */
export function findResctrl(): string | null {
  const type = tryFilesystemType(USUAL_PLACE);
  if (type < 0) return null;
  if (type === RDTGROUP_SUPER_MAGIC) return USUAL_PLACE;
  for (const line of fs.readText("/proc/self/mountinfo").split("\n")) {
    const [front, back] = line.split(" - ");
    if (back?.startsWith("resctrl ") === true) return front!.split(" ")[4] ?? null;
  }
  return null;
}

export function hasCacheAllocation(root: string | null): boolean {
  return root !== null && fs.stat(`${root}/info/L3`) !== null;
}

export function hasBandwidthAllocation(root: string | null): boolean {
  return root !== null && fs.stat(`${root}/info/MB`) !== null;
}

/** Null without linux.intelRdt. */
export function planResctrl(spec: ResctrlSpec | null, id: string): ResctrlPlan | null {
  if (spec === null) return null;
  const root = findResctrl();
  if (root === null) throw refusal("intelRdt is specified in config, but Intel RDT is not enabled");
  const { closID } = spec;
  if (closID === "." || closID === ".." || (closID.length > 1 && closID.includes("/"))) {
    throw refusal(`invalid intelRdt.ClosID ${quote(closID)}`);
  }
  if (spec.l3CacheSchema !== "" && !hasCacheAllocation(root)) {
    throw refusal("intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled");
  }
  if (spec.memBwSchema !== "" && !hasBandwidthAllocation(root)) {
    throw refusal("intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled");
  }
  const path = closID === "/" ? root : `${root}/${closID === "" ? id : closID}`;
  return {
    ...{ root, path },
    lines: [spec.l3CacheSchema, spec.memBwSchema, ...spec.schemata].filter((line) => line !== ""),
    monitor: spec.enableMonitoring ? `${path}/mon_groups/${id}` : null,
    own: closID === "",
  };
}

function refusal(message: string): Failure {
  return new Failure("invalid_argument", message);
}

/** What goes with the container: its monitoring group, and its group if that was made for it. */
export interface KeptResctrl {
  group: string | null;
  monitor: string | null;
}

/** Puts the process into the group, which is made when it is missing, and sets what the group may use. The kernel's own
 *  reason goes with a failure, which leaves nothing that was not there. */
export function enterResctrl(plan: ResctrlPlan, pid: number): KeptResctrl {
  if (!plan.own && plan.lines.length === 0 && fs.stat(plan.path) === null) {
    const why = "must be pre-created when schemata, l3CacheSchema and memBwSchema are empty";
    const missing = `stat ${plan.path}: no such file or directory`;
    throw new Failure("failed_precondition", `clos dir not accessible (${why}): ${missing}`);
  }
  const kept: KeptResctrl = { group: null, monitor: null };
  try {
    return explained(plan.root, () => {
      if (makeGroup(plan.path) && plan.own) kept.group = plan.path;
      addTask(plan.path, pid);
      if (plan.monitor !== null) {
        if (makeGroup(plan.monitor)) kept.monitor = plan.monitor;
        addTask(plan.monitor, pid);
      }
      setSchemata(plan);
      return kept;
    });
  } catch (thrown) {
    leaveResctrl(kept);
    throw thrown;
  }
}

/** One more process of a container in its groups. One that has gone meanwhile takes none. */
export function joinResctrl(path: string, pid: number): void {
  if (fs.stat(path) !== null) addTask(path, pid);
}

/** For `update`: new lines for a container's group. */
export function updateSchemata(path: string, given: { l3CacheSchema: string; memBwSchema: string }): void {
  const root = findResctrl();
  if (given.l3CacheSchema !== "" && !hasCacheAllocation(root)) {
    throw refusal("Intel RDT/CAT: l3 cache schema is not enabled");
  }
  if (given.memBwSchema !== "" && !hasBandwidthAllocation(root)) {
    throw refusal("Intel RDT/MBA: memory bandwidth schema is not enabled");
  }
  if (path === "") throw refusal("updating a non-existent Intel RDT configuration is not supported");
  const lines = [given.l3CacheSchema, given.memBwSchema].filter((line) => line !== "");
  explained(root!, () => setSchemata({ path, lines }));
}

function setSchemata({ path, lines }: Pick<ResctrlPlan, "path" | "lines">): void {
  if (lines.length === 0) return;
  const text = lines.map((line) => `${line}\n`).join("");
  try {
    fs.writeFile(`${path}/schemata`, text, 0o600);
  } catch (thrown) {
    throw new Failure("invalid_argument", `intelrdt: unable to write ${quote(text)}: ${messageOf(thrown)}`);
  }
}

/** Removes what enterResctrl made; groups that are shared stay. */
export function leaveResctrl({ group, monitor }: KeptResctrl): void {
  for (const path of [monitor, group]) {
    if (path === null) continue;
    const result = door().syscall(nr.SYS_rmdir, path);
    if (result !== -ENOENT) must("rmdir", path, result);
  }
}

function makeGroup(path: string): boolean {
  const made = door().syscall(nr.SYS_mkdir, path, 0o755);
  if (made === -EEXIST) return false;
  must("mkdir", path, made);
  return true;
}

function addTask(path: string, pid: number): void {
  try {
    fs.writeFile(`${path}/tasks`, String(pid), 0o600);
  } catch (thrown) {
    throw new Failure("failed_precondition", `intelrdt: unable to add pid ${pid}: ${messageOf(thrown)}`);
  }
}

/** Adds what resctrl says of its last refusal. */
function explained<Result>(root: string, work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    const status = fs.readTextIfThere(`${root}/info/last_cmd_status`)?.trim();
    if (status === undefined) throw thrown;
    throw new Failure("failed_precondition", `${messageOf(thrown)}, last_cmd_status: ${status}`, { cause: thrown });
  }
}
