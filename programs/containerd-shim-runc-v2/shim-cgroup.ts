// The option shim_cgroup: a control group for the shim itself, below the root of each hierarchy.

import { messageOf } from "../../base/errors.ts";
import * as fd from "../../linux/fd.ts";

const ROOT = "/sys/fs/cgroup";

export function joinCgroup(group: string, pid: number): void {
  if (group === "") return;
  const unified = fd.stat(`${ROOT}/cgroup.controllers`) !== null;
  const hierarchies = unified ? [ROOT] : fd.listDirectory(ROOT).map((entry) => `${ROOT}/${entry.name}`);
  for (const hierarchy of hierarchies) {
    const directory = `${hierarchy}/${group}`.replace(/\/+/g, "/");
    if (fd.stat(`${hierarchy}/cgroup.procs`) === null) continue;
    try {
      fd.makeDirectories(directory, 0o755);
      fd.writeFile(`${directory}/cgroup.procs`, String(pid));
    } catch (thrown) {
      throw new Error(`failed to join cgroup ${group}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }
}
