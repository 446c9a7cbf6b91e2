// Namespaces: their kinds with the kernel's flags, joining and leaving, mappings of user namespaces.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import { readText, stat } from "./fd.ts";
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

/** PROC_USER_INIT_INO of include/linux/proc_ns.h: the first user namespace's number, the same on every machine. */
const FIRST_USER_NAMESPACE = 0xeffffffdn;
const ALL_IDS = 0xffffffff;

/** Whether root here is not the machine's root. A namespace that maps all ids to themselves counts as the first one. */
export function runsInUserNamespace(): boolean {
  if (stat("/proc/self/ns/user")?.inode === FIRST_USER_NAMESPACE) return false;
  const [inside, outside, size] = readText("/proc/self/uid_map").trim().split(/\s+/).map(Number);
  return !(inside === 0 && outside === 0 && size === ALL_IDS);
}
