// Cgroups for a runtime that may lack rights over them: those that can be made are used, those that are refused are
// left out, as the original does it. But what config.json asks for by name (a path, a limit) is an error then.

import { Failure, messageOf } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EACCES, EPERM, EROFS, errnoOf, must } from "../../linux/errno.ts";
import { AT_FDCWD } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import type { LinuxSpec, Resources } from "../spec/schema.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { type Cgroups, makeCgroups, removeCgroups } from "./manager.ts";

const W_OK = 2;
/** By the effective ids, which are those that a write is judged by. */
const AT_EACCESS = 0x200;

/** Makes the permitted ones; what comes back names these alone. */
export function makePermitted(
  { cgroups, hierarchies }: { cgroups: Cgroups; hierarchies: readonly Hierarchy[] },
  linux: LinuxSpec,
): Cgroups {
  const paths: Record<string, string> = {};
  for (const hierarchy of hierarchies) {
    const names = hierarchy.name.split(",");
    const path = cgroups.paths[names[0]!]!;
    try {
      makeCgroups(cgroups, [hierarchy]);
      requireJoinable(hierarchy, path);
    } catch (thrown) {
      door().syscall(nr.SYS_rmdir, path);
      // Hierarchies without controllers only group: they are never worth an error.
      const groupsOnly = !cgroups.unified && (hierarchy.name === "" || hierarchy.name.startsWith("name="));
      const refused = groupsOnly && isRefusal(thrown) ? null : refusalOf(thrown, cgroups.unified, linux);
      if (refused === null) continue;
      removeCgroups(paths);
      throw refused;
    }
    for (const name of names) paths[name] = path;
  }
  return { paths, unified: cgroups.unified && paths[""] !== undefined };
}

function isRefusal(thrown: unknown): boolean {
  return [EACCES, EPERM, EROFS].includes(errnoOf(thrown));
}

/** Null when it is simply gone without. */
function refusalOf(thrown: unknown, unified: boolean, linux: LinuxSpec): Failure | null {
  const prefix = "unable to apply cgroup configuration";
  if (!isRefusal(thrown) || linux.cgroupsPath !== "") {
    return new Failure("permission_denied", `${prefix}: ${messageOf(thrown)}`, { cause: thrown });
  }
  // v1 names the limit that cannot be set, later; here there is one cgroup for all of them.
  if (!unified || !asksForLimits(linux.resources)) return null;
  const rule = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups";
  return new Failure("permission_denied", `${prefix}: ${rule}: ${messageOf(thrown)}`, { cause: thrown });
}

function asksForLimits(resources: Resources | null): boolean {
  if (resources === null) return false;
  const { memory, cpu, pids, blockIO, hugepageLimits, rdma, unified } = resources;
  const groups = [memory, cpu, pids, blockIO].some((group) => group !== null);
  return groups || hugepageLimits.length > 0 || Object.keys(rdma).length + Object.keys(unified).length > 0;
}

/** v1 asks for the right to write the directory's own file; v2 also for that of the common ancestor of the old and the
 *  new place (Documentation/admin-guide/cgroup-v2.rst, "Delegation Containment"). */
function requireJoinable({ name, mountpoint, own }: Hierarchy, path: string): void {
  requireWritable(`${path}/${name === "" ? "cgroup.procs" : "tasks"}`);
  if (name !== "") return;
  const from = `${mountpoint}${own}`.split("/");
  const into = path.split("/");
  const apart = into.findIndex((part, at) => part !== from[at]);
  requireWritable(`${into.slice(0, apart < 0 ? into.length : apart).join("/")}/cgroup.procs`);
}

function requireWritable(path: string): void {
  must("open", path, door().syscall(nr.SYS_faccessat2, AT_FDCWD, path, W_OK, AT_EACCESS));
}
