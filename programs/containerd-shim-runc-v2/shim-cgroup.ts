// The option shim_cgroup: a control group for the shim itself, below the root of each hierarchy.

import { messageOf } from "../../base/errors.ts";
import * as fd from "../../linux/fd.ts";

const ROOT = "/sys/fs/cgroup";
/** Bytes of a list of processors. */
const FILE_LIMIT = 64 << 10;

export function joinCgroup(group: string, pid: number): void {
  if (group === "") return;
  const unified = fd.stat(`${ROOT}/cgroup.controllers`) !== null;
  const hierarchies = unified ? [ROOT] : fd.listDirectory(ROOT).map((entry) => `${ROOT}/${entry.name}`);
  for (const hierarchy of hierarchies) {
    const directory = `${hierarchy}/${group}`.replace(/\/+/g, "/");
    if (fd.stat(`${hierarchy}/cgroup.procs`) === null) continue;
    try {
      fd.makeDirectories(directory, 0o755);
      takeCpus(hierarchy, directory);
      fd.writeFile(`${directory}/cgroup.procs`, String(pid));
    } catch (thrown) {
      throw new Error(`failed to join cgroup ${group}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }
}

/** cgroup v1: a new group of the cpuset controller has neither processors nor memory, and takes nobody until it has. */
function takeCpus(root: string, directory: string): void {
  const parts = directory.slice(root.length).split("/").filter(Boolean);
  for (const [at] of parts.entries()) {
    const [parent, child] = [at, at + 1].map((depth) => [root, ...parts.slice(0, depth)].join("/"));
    for (const name of ["cpuset.cpus", "cpuset.mems"]) {
      const own = fd.readTextIfThere(`${child}/${name}`, FILE_LIMIT);
      if (own === null || own.trim() !== "") continue;
      fd.writeFile(`${child}/${name}`, fd.readText(`${parent}/${name}`, FILE_LIMIT));
    }
  }
}
