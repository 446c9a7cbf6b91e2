// Mounts by descriptor: open_tree, fsopen, fsmount, move_mount, mount_setattr, openat2, and the few old calls that have
// no such form. Everything inside a root that a container controls goes through these, never through a path.

import { door } from "./door.ts";
import { EAGAIN, EINTR, EINVAL, ENOENT, must, SyscallFailure } from "./errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, Fd, O_CLOEXEC } from "./fd.ts";
import * as nr from "./numbers.ts";

// include/uapi/linux/mount.h: flags of mount(2) and of propagation
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_MANDLOCK = 64;
export const MS_DIRSYNC = 128;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_BIND = 4096;
export const MS_REC = 16384;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MS_RELATIME = 1 << 21;
export const MS_STRICTATIME = 1 << 24;

export const MOUNT_ATTR_RDONLY = 1;
export const MOUNT_ATTR_NOSUID = 2;
export const MOUNT_ATTR_NODEV = 4;
export const MOUNT_ATTR_NOEXEC = 8;
/** The field of the three access time modes; relatime is 0 in it. */
export const MOUNT_ATTR_ATIME = 0x70;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR_NODIRATIME = 0x80;
export const MOUNT_ATTR_IDMAP = 0x100000;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;

const OPEN_TREE_CLONE = 1;
export const AT_RECURSIVE = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
/** fsconfig refuses longer values (fs/fsopen.c). */
export const FSCONFIG_VALUE_LIMIT = 255;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_IN_ROOT = 0x10;
/** A rename or mount elsewhere makes the kernel give up a scoped lookup with EAGAIN; it is asked again this often. */
const RESOLVE_ATTEMPTS = 128;

export const PROC_SUPER_MAGIC = 0x9fa0;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const TMPFS_MAGIC = 0x01021994;

/** openat2 confined to the directory `root` as if it were /: absolute links and ".." stay inside, /proc's magic links
 *  are refused. A negative errno on failure. */
export function tryOpenInRoot(root: number, path: string, flags: number, mode = 0): number {
  return openScoped(root, path, { flags, mode, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
}

export function openInRoot(root: number, path: string, flags: number, mode = 0): Fd {
  return new Fd(must("openat2", path, tryOpenInRoot(root, path, flags, mode)));
}

/** Inside `directory` with no symbolic link at all; for procfs and other trees of the kernel's own. */
export function openPlain(directory: number, path: string, flags: number): Fd {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  return new Fd(must("open", path, openScoped(directory, path, { flags, mode: 0, resolve })));
}

/** A path of the host in which no part is a symbolic link; a negative errno (ELOOP for a link) on failure. */
export function tryOpenWithoutLinks(path: string, flags: number): number {
  return openScoped(AT_FDCWD, path, { flags, mode: 0, resolve: RESOLVE_NO_SYMLINKS });
}

function openScoped(at: number, path: string, how: { flags: number; mode: number; resolve: number }): number {
  // struct open_how
  const words = BigInt64Array.of(BigInt(how.flags | O_CLOEXEC), BigInt(how.mode), BigInt(how.resolve));
  for (let attempt = 0; ; attempt++) {
    const result = door().syscall(nr.SYS_openat2, at, path, words, 24);
    if (result === -EINTR || (result === -EAGAIN && attempt < RESOLVE_ATTEMPTS)) continue;
    return result;
  }
}

/** A detached copy of the mount at `path`; with `recursive` of the tree below it as well. */
export function cloneTree(at: number, path: string, recursive: boolean): Fd {
  const flags = OPEN_TREE_CLONE | O_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (path === "" ? AT_EMPTY_PATH : 0);
  return new Fd(must("open_tree", path, door().syscall(nr.SYS_open_tree, at, path, flags)));
}

/** Attaches a detached mount over the file or directory `target`. */
export function attach(mount: number, target: number): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  must("move_mount", "", door().syscall(nr.SYS_move_mount, mount, "", target, "", flags));
}

/** The same for the entry `name` of a directory that nobody else can reach; a link there would not be followed. */
export function attachAt(mount: number, directory: number, name: string): void {
  must("move_mount", name, door().syscall(nr.SYS_move_mount, mount, "", directory, name, MOVE_MOUNT_F_EMPTY_PATH));
}

export interface MountChange {
  set?: number;
  clear?: number;
  /** MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE. */
  propagation?: number;
  recursive?: boolean;
  /** The user namespace whose mappings an idmapped mount uses. */
  userNamespace?: number;
}

/** mount_setattr on a mount that a descriptor names; a negative errno on failure. */
export function tryChangeMount(mount: number, change: MountChange): number {
  const { set = 0, clear = 0, propagation = 0, userNamespace = 0 } = change;
  const words = BigInt64Array.of(BigInt(set), BigInt(clear), BigInt(propagation), BigInt(userNamespace));
  const flags = AT_EMPTY_PATH | (change.recursive === true ? AT_RECURSIVE : 0);
  return door().syscall(nr.SYS_mount_setattr, mount, "", flags, words, 32);
}

export function changeMount(mount: number, change: MountChange): void {
  must("mount_setattr", "", tryChangeMount(mount, change));
}

/** A new filesystem as a detached mount. `options`: "key=value" or a bare "key", as the filesystem knows them.
 *  The failure carries what the filesystem's own log says about a bad option. */
export function newMount(type: string, source: string, options: readonly string[], attributes: number): Fd {
  using context = new Fd(must("fsopen", type, door().syscall(nr.SYS_fsopen, type, FSOPEN_CLOEXEC)));
  const configure = (command: number, key: string | null, value: string | null) => {
    const result = door().syscall(nr.SYS_fsconfig, context.number, command, key, value, 0);
    if (result < 0)
      throw new SyscallFailure("fsconfig", -result, [type, key, filesystemLog(context.number)].join(" ").trim());
  };
  if (source !== "") configure(FSCONFIG_SET_STRING, "source", source);
  for (const option of options) {
    const equals = option.indexOf("=");
    if (equals < 0) configure(FSCONFIG_SET_FLAG, option, null);
    else configure(FSCONFIG_SET_STRING, option.slice(0, equals), option.slice(equals + 1));
  }
  configure(FSCONFIG_CMD_CREATE, null, null);
  const mounted = door().syscall(nr.SYS_fsmount, context.number, FSMOUNT_CLOEXEC, attributes);
  return new Fd(must("fsmount", type, mounted));
}

function filesystemLog(context: number): string {
  const buffer = new Uint8Array(1024);
  const got = door().syscall(nr.SYS_read, context, buffer, buffer.length);
  return got > 0
    ? `(${door()
        .decode(buffer, 0, got)
        .replace(/^[ewi] /, "")
        .trim()})`
    : "";
}

/** mount(2); for the places where no descriptor form exists. */
export function mount(call: {
  source?: string | null;
  target: string;
  type?: string;
  flags: number;
  data?: string;
}): void {
  const { source = null, target, type = null, flags, data = null } = call;
  must("mount", target, door().syscall(nr.SYS_mount, source, target, type, flags, data));
}

export function unmount(path: string, flags = 0): void {
  must("umount2", path, door().syscall(nr.SYS_umount2, path, flags));
}

/** Stacks the old root upon the new one at the working directory: pivot_root(".", "."). */
export function pivotHere(): void {
  must("pivot_root", ".", door().syscall(nr.SYS_pivot_root, ".", "."));
}

/** The magic number of the filesystem behind a descriptor. */
export function filesystemType(fd: number): number {
  const words = new BigInt64Array(15);
  const result = door().syscall(nr.SYS_fstatfs, fd, words);
  if (result < 0) must("fstatfs", `fd ${fd}`, result);
  return Number(words[0]!);
}

/** Of what a path leads to; a negative errno on failure. */
export function tryFilesystemType(path: string): number {
  const words = new BigInt64Array(15);
  const result = door().syscall(nr.SYS_statfs, path, words);
  return result < 0 ? result : Number(words[0]!);
}

/** ST_* flags of the mount that a descriptor lies on. */
export function flagsOfMount(fd: number): number {
  const words = new BigInt64Array(15);
  must("fstatfs", "", door().syscall(nr.SYS_fstatfs, fd, words));
  return Number(words[10]!);
}

/** ST_* flags of the mount that a path lies on: bit 0 is read-only. */
export function mountFlags(path: string): number {
  const words = new BigInt64Array(15);
  must("statfs", path, door().syscall(nr.SYS_statfs, path, words));
  return Number(words[10]!);
}

/** A private procfs of the caller's own pid namespace, attached nowhere: no one else can mount over parts of it. */
export function openOwnProc(): Fd {
  return newMount("proc", "proc", [], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

export { AT_FDCWD };

/** False when nothing is mounted there or there is no such path. */
export function unmountIfMounted(path: string, flags = 0): boolean {
  const result = door().syscall(nr.SYS_umount2, path, flags);
  if (result === -EINVAL || result === -ENOENT) return false;
  must("unmount", path, result);
  return true;
}
