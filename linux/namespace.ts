// Namespaces: their kinds with the kernel's flags, joining and leaving, mappings of user namespaces.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import { writeFile } from "./fd.ts";
import * as nr from "./numbers.ts";

export type NamespaceKind = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup" | "time";

/** clone's flag, and the name under /proc/PID/ns. */
export const NAMESPACES: Readonly<Record<NamespaceKind, { flag: number; file: string }>> = {
  user: { flag: 0x10000000, file: "user" },
  cgroup: { flag: 0x02000000, file: "cgroup" },
  ipc: { flag: 0x08000000, file: "ipc" },
  uts: { flag: 0x04000000, file: "uts" },
  network: { flag: 0x40000000, file: "net" },
  pid: { flag: 0x20000000, file: "pid" },
  mount: { flag: 0x00020000, file: "mnt" },
  time: { flag: 0x00000080, file: "time" },
};

export function unshare(flags: number): void {
  must("unshare", "", door().syscall(nr.SYS_unshare, flags));
}

/** `fd` is a namespace (then `flags` its kind) or a pidfd (then any set of kinds, kernel 5.8). */
export function setNamespace(fd: number, flags: number, subject = ""): void {
  must("setns", subject, door().syscall(nr.SYS_setns, fd, flags));
}

export interface IdMapping {
  containerId: number;
  hostId: number;
  size: number;
}

/** Writes a child's mappings; the caller is privileged in the parent namespace. */
export function writeMappings(pid: number, which: "uid" | "gid", mappings: readonly IdMapping[]): void {
  const lines = mappings.map((map) => `${map.containerId} ${map.hostId} ${map.size}\n`);
  writeFile(`/proc/${pid}/${which}_map`, lines.join(""));
}
