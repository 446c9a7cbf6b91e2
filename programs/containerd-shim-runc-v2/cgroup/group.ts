// Where a task's control group is, in each hierarchy, as its first process tells; and small readers of its files.

import { readTextIfThere, stat } from "../../../linux/fd.ts";
import { CONFIG_LIMIT } from "../limits.ts";

const UNIFIED = "/sys/fs/cgroup/cgroup.controllers";
/** Bytes; memory.stat is some two kilobytes. */
const FILE_LIMIT = 64 << 10;

export interface Group {
  /** Directory by controller (cgroup v1), or the one under "" (v2). */
  directories: ReadonlyMap<string, string>;
  unified: boolean;
}

/** Of a process that is gone: no directory at all, and so no figures. */
export function groupOfProcess(pid: number): Group {
  const unified = stat(UNIFIED) !== null;
  const mounts = hierarchies(readTextIfThere("/proc/self/mountinfo", CONFIG_LIMIT) ?? "");
  const directories = new Map<string, string>();
  for (const line of (readTextIfThere(`/proc/${pid}/cgroup`, FILE_LIMIT) ?? "").split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null || unified !== (match[1] === "")) continue;
    for (const controller of match[1]!.split(",")) {
      const mount = mounts.get(controller);
      if (mount === undefined) continue;
      const path =
        mount.root !== "/" && match[2]!.startsWith(mount.root) ? match[2]!.slice(mount.root.length) : match[2]!;
      directories.set(controller, `${mount.target}${path}`.replace(/\/$/, ""));
    }
  }
  return { directories, unified };
}

/** Controller (or "" for v2) to where it is mounted, and which part of the hierarchy that is. */
function hierarchies(mountinfo: string): Map<string, { target: string; root: string }> {
  const found = new Map<string, { target: string; root: string }>();
  for (const line of mountinfo.split("\n")) {
    const [mount, filesystem] = line.split(" - ");
    const [, , , root, target] = (mount ?? "").split(" ");
    const [type, , options] = (filesystem ?? "").split(" ");
    if (root === undefined || target === undefined) continue;
    if (type === "cgroup2") found.set("", { target, root });
    if (type === "cgroup") for (const option of (options ?? "").split(",")) found.set(option, { target, root });
  }
  return found;
}

/** Null when the controller or the file is not there. */
export function readGroupFile(group: Group, controller: string, name: string): string | null {
  const directory = group.directories.get(group.unified ? "" : controller);
  if (directory === undefined) return null;
  try {
    return readTextIfThere(`${directory}/${name}`, FILE_LIMIT);
  } catch {
    return null;
  }
}

/** A file of one number; "max" and what is not there count as 0. */
export function readNumber(group: Group, controller: string, name: string): bigint {
  return toNumber(readGroupFile(group, controller, name) ?? "");
}

export function toNumber(text: string): bigint {
  const clean = text.trim();
  return /^\d+$/.test(clean) ? BigInt(clean) : 0n;
}

/** Lines of "name value". */
export function readTable(group: Group, controller: string, name: string): Map<string, bigint> {
  const table = new Map<string, bigint>();
  for (const line of (readGroupFile(group, controller, name) ?? "").split("\n")) {
    const [key, value] = line.split(" ");
    if (key !== undefined && value !== undefined) table.set(key, toNumber(value));
  }
  return table;
}

/** "inactive_anon" as the generated types name it: inactiveAnon. */
export function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
