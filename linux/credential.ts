// Who a process is and what it may become: ids, groups, umask, no_new_privs, keyring, limits, personality.
// Ids are unsigned 32 bit and travel as plain numbers: no bitwise operator touches them.

import { door } from "./door.ts";
import { EINVAL, ENOSYS, EPERM, must } from "./errno.ts";
import * as nr from "./numbers.ts";

const PR_SET_KEEPCAPS = 8;
const PR_SET_NO_NEW_PRIVS = 38;
const KEYCTL_JOIN_SESSION_KEYRING = 1;
const KEYCTL_SETPERM = 5;
const KEYCTL_DESCRIBE = 6;
const KEY_USR_SEARCH = 0x00080000;
const KEY_OTH_SEARCH = 0x00000008;

export function setGroups(groups: readonly number[]): void {
  const words = groups.length === 0 ? null : new Uint8Array(Uint32Array.from(groups).buffer);
  must("setgroups", "", door().syscall(nr.SYS_setgroups, groups.length, words));
}

/** To the kernel's setres* calls it means "as it is", and who asks for it would stay root. */
const NO_CHANGE = 0xffffffff;

export function setGroup(gid: number): void {
  must("setgid", `${gid}`, gid === NO_CHANGE ? -EINVAL : door().syscall(nr.SYS_setresgid, gid, gid, gid));
}

export function setUser(uid: number): void {
  must("setuid", `${uid}`, uid === NO_CHANGE ? -EINVAL : door().syscall(nr.SYS_setresuid, uid, uid, uid));
}

/** Whether the permitted capabilities survive the coming change to another user than root. */
export function keepCapabilities(on: boolean): void {
  must("prctl", "PR_SET_KEEPCAPS", door().syscall(nr.SYS_prctl, PR_SET_KEEPCAPS, on ? 1 : 0, 0, 0, 0));
}

export function setNoNewPrivileges(): void {
  must("prctl", "PR_SET_NO_NEW_PRIVS", door().syscall(nr.SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

export function setUmask(mask: number): number {
  return door().syscall(nr.SYS_umask, mask);
}

export function setPersonality(persona: number): void {
  must("personality", "", door().syscall(nr.SYS_personality, persona));
}

/** A session keyring of that name, which its user may search; on a kernel without keyrings nothing. `others`: anybody
 *  may, because in a user namespace the later user is another one. */
export function joinSessionKeyring(name: string, others: boolean): void {
  const keyring = door().syscall(nr.SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0);
  if (keyring === -ENOSYS || keyring === -EPERM) return;
  must("keyctl", "join session keyring", keyring);
  // The description is "type;uid;gid;perm;name". The user's own search right is added to what is there.
  const buffer = new Uint8Array(256);
  const length = door().syscall(nr.SYS_keyctl, KEYCTL_DESCRIBE, keyring, buffer, buffer.length, 0);
  if (length <= 0) return;
  const permissions = Number.parseInt(
    door()
      .decode(buffer, 0, length - 1)
      .split(";")[3] ?? "",
    16,
  );
  if (Number.isNaN(permissions)) return;
  const wanted = permissions | (others ? KEY_OTH_SEARCH : KEY_USR_SEARCH);
  must("keyctl", "setperm", door().syscall(nr.SYS_keyctl, KEYCTL_SETPERM, keyring, wanted, 0, 0));
}

/** Names of include/uapi/asm-generic/resource.h; the index is the number. */
export const RLIMIT_NAMES =
  "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
    .split(" ")
    .map((name) => `RLIMIT_${name}`);

export interface ResourceLimit {
  resource: number;
  /** Unsigned 64 bit; RLIM_INFINITY is the largest. */
  soft: bigint;
  hard: bigint;
}

/** `pid` 0 is this process. A negative errno on failure. */
export function trySetLimit(pid: number, limit: ResourceLimit): number {
  const words = BigInt64Array.of(BigInt.asIntN(64, limit.soft), BigInt.asIntN(64, limit.hard));
  return door().syscall(nr.SYS_prlimit64, pid, limit.resource, words, null);
}

/** Closes all descriptors from `first` on. */
export function closeFrom(first: number): void {
  must("close_range", "", door().syscall(nr.SYS_close_range, first, 0xffffffff, 0));
}

const CLOSE_RANGE_CLOEXEC = 4;

/** Marks all descriptors from `first` on close-on-exec (kernel 5.11). */
export function closeOnExecFrom(first: number): void {
  must("close_range", "", door().syscall(nr.SYS_close_range, first, 0xffffffff, CLOSE_RANGE_CLOEXEC));
}
