// Directory trees that somebody else controls: every call is relative to a descriptor, and a path of several components
// is resolved by openat2 inside a root. Called by containerd-unpack.
//
// Nothing here follows a link out of the root or through /proc's magic links (openat2, since Linux 5.6).

import type { Bytes } from "../base/bytes.ts";
import { door } from "./door.ts";
import { EAGAIN, ENODATA, ENOENT, EOPNOTSUPP, must, retrying } from "./errno.ts";
import { AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, Fd, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "./fd.ts";
import * as nr from "./numbers.ts";

const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;
const XATTR_LIST = 64 << 10; // bytes; XATTR_LIST_MAX of the kernel
const XATTR_VALUE = 64 << 10; // bytes; XATTR_SIZE_MAX of the kernel
const RESOLVE_TRIES = 32; // openat2 gives EAGAIN when a rename happened meanwhile

/** Opens a path below `root`, as if the root were "/". Null when a part of it is missing. */
export function openInRoot(root: number, path: string, flags = O_PATH | O_DIRECTORY): Fd | null {
  const how = new BigInt64Array(3);
  how[0] = BigInt(flags | O_CLOEXEC);
  how[2] = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (let tries = 0; ; tries++) {
    const result = retrying(nr.SYS_openat2, root, path === "" ? "." : path, how, 24);
    if (result === -ENOENT) return null;
    if (result === -EAGAIN && tries < RESOLVE_TRIES) continue;
    return new Fd(must("open", path, result));
  }
}

/** One component below an open directory, never through a link. */
export function openChild(directory: number, name: string, flags: number, mode = 0): Fd {
  const result = retrying(nr.SYS_openat, directory, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
  return new Fd(must("open", name, result));
}

export function makeDirectoryAt(directory: number, name: string, mode: number): void {
  must("mkdir", name, door().syscall(nr.SYS_mkdirat, directory, name, mode));
}

export function makeNodeAt(
  directory: number,
  name: string,
  node: { mode: number; major: number; minor: number },
): void {
  // The kernel's encoding of a 32-bit device number; major has 12 bits, minor 20.
  const device = (node.minor & 0xff) + node.major * 256 + (node.minor >>> 8) * 0x100000;
  must("mknod", name, door().syscall(nr.SYS_mknodat, directory, name, node.mode, device));
}

export function makeSymlinkAt(directory: number, name: string, target: string): void {
  must("symlink", name, door().syscall(nr.SYS_symlinkat, target, directory, name));
}

export function makeLinkAt(from: { directory: number; name: string }, to: { directory: number; name: string }): void {
  must("link", to.name, door().syscall(nr.SYS_linkat, from.directory, from.name, to.directory, to.name, 0));
}

/** False when there was none. */
export function unlinkAt(directory: number, name: string, isDirectory: boolean): boolean {
  const result = door().syscall(nr.SYS_unlinkat, directory, name, isDirectory ? AT_REMOVEDIR : 0);
  if (result === -ENOENT) return false;
  must(isDirectory ? "rmdir" : "unlink", name, result);
  return true;
}

export function chownAt(directory: number, name: string, owner: { uid: number; gid: number }): void {
  must("chown", name, door().syscall(nr.SYS_fchownat, directory, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW));
}

/** Follows links: only for what is known to be none. */
export function chmodAt(directory: number, name: string, mode: number): void {
  must("chmod", name, door().syscall(nr.SYS_fchmodat, directory, name, mode));
}

/** Access and modification time together, nanoseconds since 1970. */
export function setTimesAt(directory: number, name: string, modified: bigint): void {
  const times = new BigInt64Array(4);
  let seconds = modified / 1_000_000_000n;
  let nanoseconds = modified % 1_000_000_000n;
  if (nanoseconds < 0n) {
    nanoseconds += 1_000_000_000n;
    seconds -= 1n;
  }
  times[0] = times[2] = seconds;
  times[1] = times[3] = nanoseconds;
  must("utimensat", name, door().syscall(nr.SYS_utimensat, directory, name, times, AT_SYMLINK_NOFOLLOW));
}

export function syncFileSystem(fd: number): void {
  must("syncfs", `fd ${fd}`, door().syscall(nr.SYS_syncfs, fd));
}

/** The child by a path that calls without an *at form can take; it follows no link in the last component. */
function throughProc(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

/** Zero, or the errno: what a failure means differs by attribute. */
export function setXattrAt(at: { directory: number; name: string }, key: string, value: Uint8Array): number {
  const path = throughProc(at.directory, at.name);
  return -door().syscall(nr.SYS_lsetxattr, path, key, value, value.length, 0);
}

/** Null when the file system has none or the attribute is not there. */
export function getXattrAt(at: { directory: number; name: string }, key: string): Bytes | null {
  const value = new Uint8Array(XATTR_VALUE);
  const length = door().syscall(nr.SYS_lgetxattr, throughProc(at.directory, at.name), key, value, value.length);
  if (length === -ENODATA || length === -EOPNOTSUPP) return null;
  return value.slice(0, must("getxattr", at.name, length));
}

export function listXattrsAt(directory: number, name: string): string[] {
  const list = new Uint8Array(XATTR_LIST);
  const length = door().syscall(nr.SYS_llistxattr, throughProc(directory, name), list, list.length);
  if (length === -EOPNOTSUPP) return [];
  const text = door().decode(list, 0, must("listxattr", name, length));
  return text.split("\0").filter((key) => key !== "");
}
