// A user namespace that exists only to carry mappings for an id-mapped mount: a child makes it and stops; its
// namespace is opened, and the child ends.

import { door } from "../../linux/door.ts";
import { type Fd, O_RDONLY, O_WRONLY, open, writeAll } from "../../linux/fd.ts";
import { openPlain } from "../../linux/mount.ts";
import { NAMESPACES } from "../../linux/namespace.ts";
import * as nr from "../../linux/numbers.ts";
import { clone, exit, waitChild } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import type { MappingSpec } from "../spec/schema.ts";

/** `proc`: a procfs of this process's own pid namespace, for the child's number counts there. */
export function idmapNamespace(proc: number, map: { uids: readonly MappingSpec[]; gids: readonly MappingSpec[] }): Fd {
  const { pid } = clone({ flags: BigInt(NAMESPACES.user.flag), cgroup: null, pidfd: false });
  if (pid === 0) {
    door().syscall(nr.SYS_nanosleep, BigInt64Array.of(60n, 0n), null);
    exit(0);
  }
  try {
    writeMap(proc, `${pid}/uid_map`, map.uids);
    writeMap(proc, `${pid}/gid_map`, map.gids);
    return openNamespace(proc, pid);
  } finally {
    kill(pid, SIGKILL);
    waitChild(pid);
  }
}

function writeMap(proc: number, path: string, mappings: readonly MappingSpec[]): void {
  using file = openPlain(proc, path, O_WRONLY);
  const lines = mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`);
  writeAll(file.number, door().encode(lines.join("")));
}

/** A namespace file is a magic link, so this one lookup is a plain openat on our own procfs. */
function openNamespace(proc: number, pid: number): Fd {
  return open(`${pid}/ns/user`, O_RDONLY, 0, proc);
}
