// File descriptors and the files behind them: open, read, write, whole small files, directories, pipes.
// A descriptor that a function hands out as `Fd` has an owner, who disposes it; a bare number is borrowed.

import { type Bytes, concatBytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { door } from "./door.ts";
import { EAGAIN, EEXIST, EINVAL, EISDIR, ENODEV, ENOENT, EOPNOTSUPP, ESRCH, errnoOf, must, retrying } from "./errno.ts";
import * as nr from "./numbers.ts";

// include/uapi/asm-generic/fcntl.h, x86_64
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const AT_FDCWD = -100;
export const O_TMPFILE = 0o20200000;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;
export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETPIPE_SZ = 1031;
export const FD_CLOEXEC = 1;
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** include/uapi/asm-generic/ioctls.h */
const FIONREAD = 0x541b;
const READ_CHUNK = 16 << 10;
const DIRENT_BUFFER = 32 << 10;
/** Larger than any file that the programs read whole (config.json, state.json, proc files). */
export const FILE_LIMIT = 16 << 20;

/** A descriptor with an owner. Closing twice is allowed; using it after is a defect. */
export class Fd implements Disposable {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  get number(): number {
    if (this.#number < 0) throw new Error("impossible state: a closed descriptor was used");
    return this.#number;
  }

  /** Gives the number away: this object no longer closes it. */
  release(): number {
    const number = this.number;
    this.#number = -1;
    return number;
  }

  close(): void {
    if (this.#number < 0) return;
    close(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens with O_CLOEXEC always. `at` is a directory's descriptor for relative paths. */
export function open(path: string, flags: number, mode = 0, at = AT_FDCWD): Fd {
  return new Fd(must("open", path, retrying(nr.SYS_openat, at, path, flags | O_CLOEXEC, mode)));
}

/** Null when there is no such file. */
export function openIfThere(path: string, flags: number): Fd | null {
  const fd = retrying(nr.SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
  return fd === -ENOENT ? null : new Fd(must("open", path, fd));
}

/** The kernel releases the number whatever close returns, so a failure is not an error here. */
export function close(fd: number): void {
  door().syscall(nr.SYS_close, fd);
}

/** Bytes read; 0 at the end; null when a non-blocking descriptor has nothing now. */
export function read(fd: number, into: Uint8Array): number | null {
  const got = retrying(nr.SYS_read, fd, into, into.length);
  if (got >= 0) return got;
  return got === -EAGAIN ? null : must("read", `fd ${fd}`, got);
}

/** What a file has from there on, at most so many bytes; its offset stays. */
export function readAt(fd: number, from: number, length: number): Bytes {
  const into = new Uint8Array(length);
  return into.subarray(0, must("read", `fd ${fd}`, retrying(nr.SYS_pread64, fd, into, length, from)));
}

/** Bytes written, at most all; null when a non-blocking descriptor takes nothing now. */
export function write(fd: number, bytes: Uint8Array): number | null {
  const put = retrying(nr.SYS_write, fd, bytes, bytes.length);
  if (put >= 0) return put;
  return put === -EAGAIN ? null : must("write", `fd ${fd}`, put);
}

/** Writes all of it to a blocking descriptor. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    at += write(fd, at === 0 ? bytes : bytes.subarray(at)) ?? must("write", `fd ${fd}`, -EAGAIN);
  }
}

/** Reads to the end of a blocking descriptor; more than `limit` bytes throws resource_exhausted. */
export function readAll(fd: number, limit = FILE_LIMIT): Bytes {
  const parts: Bytes[] = [];
  let total = 0;
  for (;;) {
    const part = new Uint8Array(READ_CHUNK);
    const got = read(fd, part) ?? must("read", `fd ${fd}`, -EAGAIN);
    if (got === 0) return parts.length === 1 ? parts[0]! : concatBytes(parts);
    total += got;
    if (total > limit) throw new Failure("resource_exhausted", `more than ${limit} bytes to read`);
    parts.push(part.subarray(0, got));
  }
}

export function readFile(path: string, limit = FILE_LIMIT): Bytes {
  using file = open(path, O_RDONLY);
  return readAll(file.number, limit);
}

export function readText(path: string, limit = FILE_LIMIT): string {
  return door().decode(readFile(path, limit));
}

/** Null when there is no such file, or what it tells of went between the open and the read: the kernel then says ESRCH
 *  for a process's file, and ENODEV for a cgroup's. */
export function readTextIfThere(path: string, limit = FILE_LIMIT): string | null {
  const fd = retrying(nr.SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd === -ENOENT || fd === -ENODEV) return null;
  using file = new Fd(must("open", path, fd));
  try {
    return door().decode(readAll(file.number, limit));
  } catch (thrown) {
    if (errnoOf(thrown) === ESRCH || errnoOf(thrown) === ENODEV) return null;
    throw thrown;
  }
}

/** Creates or truncates. For control files of the kernel and for files nobody reads half-written. */
export function writeFile(path: string, content: string | Uint8Array, mode = 0o644): void {
  using file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  writeAll(file.number, typeof content === "string" ? door().encode(content) : content);
}

/** Replaces a file so that a reader sees the old or the new content, never a part: write aside, rename. */
export function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): void {
  const aside = `${path}.tmp`;
  try {
    writeFile(aside, content, mode);
    rename(aside, path);
  } catch (thrown) {
    door().syscall(nr.SYS_unlink, aside);
    throw thrown;
  }
}

/** Makes a new file, whole or not at all, and without a name beside it that a kill in between would leave. False, and
 *  nothing done, when there is one already or the file system cannot do it. */
export function createFile(path: string, content: string | Uint8Array, mode = 0o600): boolean {
  const directory = path.slice(0, path.lastIndexOf("/") + 1);
  const flags = O_TMPFILE | O_WRONLY | O_CLOEXEC;
  const fd = retrying(nr.SYS_openat, AT_FDCWD, directory === "" ? "." : directory, flags, mode);
  if (fd === -EOPNOTSUPP || fd === -EISDIR || fd === -EINVAL) return false;
  using file = new Fd(must("open", path, fd));
  writeAll(file.number, typeof content === "string" ? door().encode(content) : content);
  const name = `/proc/self/fd/${file.number}`;
  const linked = door().syscall(nr.SYS_linkat, AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
  if (linked === -EEXIST || linked === -ENOENT) return false;
  must("link", path, linked);
  return true;
}

export function rename(from: string, to: string): void {
  must("rename", `${from} ${to}`, door().syscall(nr.SYS_rename, from, to));
}

export function unlink(path: string): void {
  must("unlink", path, door().syscall(nr.SYS_unlink, path));
}

/** False when there was none. */
export function unlinkIfThere(path: string): boolean {
  const result = door().syscall(nr.SYS_unlink, path);
  if (result === -ENOENT) return false;
  must("unlink", path, result);
  return true;
}

export function makeDirectory(path: string, mode: number): void {
  must("mkdir", path, door().syscall(nr.SYS_mkdir, path, mode));
}

/** With the parents that are missing; what exists stays as it is. */
export function makeDirectories(path: string, mode: number): void {
  for (let at = path.indexOf("/", 1); ; at = path.indexOf("/", at + 1)) {
    const part = at < 0 ? path : path.slice(0, at);
    const result = door().syscall(nr.SYS_mkdir, part, mode);
    if (result < 0 && result !== -17 /* EEXIST */) must("mkdir", part, result);
    if (at < 0) return;
  }
}

export function removeDirectory(path: string): void {
  must("rmdir", path, door().syscall(nr.SYS_rmdir, path));
}

export interface DirectoryEntry {
  name: string;
  /** DT_* of dirent.h: 4 directory, 8 file, 10 link; 0 when the filesystem does not say. */
  kind: number;
}

/** Without "." and "..", in the kernel's order. */
export function listDirectory(path: string, at = AT_FDCWD): DirectoryEntry[] {
  using directory = open(path, O_RDONLY | O_DIRECTORY, 0, at);
  return listOpenDirectory(directory.number);
}

export function listOpenDirectory(fd: number): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  const buffer = new Uint8Array(DIRENT_BUFFER);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const got = must("getdents64", `fd ${fd}`, door().syscall(nr.SYS_getdents64, fd, buffer, buffer.length));
    if (got === 0) return entries;
    // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name
    for (let start = 0; start < got; ) {
      const length = view.getUint16(start + 16, true);
      const end = buffer.indexOf(0, start + 19);
      const name = door().decode(buffer, start + 19, end);
      if (name !== "." && name !== "..") entries.push({ name, kind: buffer[start + 18]! });
      start += length;
    }
  }
}

export interface Stat {
  device: bigint;
  inode: bigint;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  /** Of a device node: major << 32 | minor would not fit a number, so both parts. */
  rdev: { major: number; minor: number };
  size: number;
  /** Nanoseconds since 1970. */
  modified: bigint;
}

const STAT_SIZE = 144;

function parseStat(buffer: Uint8Array<ArrayBuffer>): Stat {
  const view = new DataView(buffer.buffer);
  // Halves where a number is wanted: each 64-bit read makes a bigint.
  const [low, high] = [view.getUint32(40, true), view.getUint32(44, true)];
  return {
    device: view.getBigUint64(0, true),
    inode: view.getBigUint64(8, true),
    links: view.getUint32(16, true) + view.getUint32(20, true) * 2 ** 32,
    mode: view.getUint32(24, true),
    uid: view.getUint32(28, true),
    gid: view.getUint32(32, true),
    rdev: {
      major: (((low >>> 8) & 0xfff) | (high & 0xfffff000)) >>> 0,
      minor: ((low & 0xff) | (((low >>> 12) | (high << 20)) & 0xffffff00)) >>> 0,
    },
    size: view.getUint32(48, true) + view.getInt32(52, true) * 2 ** 32,
    modified: view.getBigInt64(88, true) * 1_000_000_000n + view.getBigInt64(96, true),
  };
}

export function statFd(fd: number): Stat {
  const buffer = new Uint8Array(STAT_SIZE);
  const result = door().syscall(nr.SYS_fstat, fd, buffer);
  if (result < 0) must("fstat", `fd ${fd}`, result);
  return parseStat(buffer);
}

/** Null when there is no such path. `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
export function statAt(at: number, path: string, flags = 0): Stat | null {
  const buffer = new Uint8Array(STAT_SIZE);
  const result = door().syscall(nr.SYS_newfstatat, at, path, buffer, flags);
  if (result === -ENOENT) return null;
  must("stat", path, result);
  return parseStat(buffer);
}

export function stat(path: string): Stat | null {
  return statAt(AT_FDCWD, path);
}

export function readLink(path: string, at = AT_FDCWD): string {
  const buffer = new Uint8Array(4096);
  const length = must("readlink", path, door().syscall(nr.SYS_readlinkat, at, path, buffer, buffer.length));
  return door().decode(buffer, 0, length);
}

export function symlink(target: string, path: string): void {
  must("symlink", path, door().syscall(nr.SYS_symlink, target, path));
}

export function makeFifo(path: string, mode: number): void {
  must("mkfifo", path, door().syscall(nr.SYS_mknodat, AT_FDCWD, path, S_IFIFO | mode, 0));
}

/** Both ends close-on-exec; `flags` adds O_NONBLOCK. */
export function pipe(flags = 0): { read: Fd; write: Fd } {
  const ends = new Int32Array(2);
  must("pipe", "", door().syscall(nr.SYS_pipe2, ends, flags | O_CLOEXEC));
  return { read: new Fd(ends[0]!), write: new Fd(ends[1]!) };
}

/** How many bytes lie in a pipe or a FIFO now (FIONREAD). */
export function unread(fd: number): number {
  const count = new Int32Array(1);
  must("ioctl FIONREAD", `fd ${fd}`, door().syscall(nr.SYS_ioctl, fd, FIONREAD, count));
  return count[0]!;
}

export function setCloseOnExec(fd: number, on: boolean): void {
  must("fcntl", `fd ${fd}`, door().syscall(nr.SYS_fcntl, fd, F_SETFD, on ? FD_CLOEXEC : 0));
}

export function setNonBlocking(fd: number, on: boolean): void {
  const flags = must("fcntl", `fd ${fd}`, door().syscall(nr.SYS_fcntl, fd, F_GETFL, 0));
  const wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  must("fcntl", `fd ${fd}`, door().syscall(nr.SYS_fcntl, fd, F_SETFL, wanted));
}

/** Whether the number is an open descriptor: for those that a parent may have given. */
export function isOpen(fd: number): boolean {
  return door().syscall(nr.SYS_fcntl, fd, F_GETFD, 0) >= 0;
}

/** Makes `to` the same open file as `from`, without close-on-exec: for a child about to execute. */
export function duplicateTo(from: number, to: number): void {
  if (from === to) setCloseOnExec(to, false);
  else must("dup3", `fd ${from}`, door().syscall(nr.SYS_dup3, from, to, 0));
}

export function chmod(path: string, mode: number): void {
  must("chmod", path, door().syscall(nr.SYS_chmod, path, mode));
}

export function chown(path: string, uid: number, gid: number): void {
  must("chown", path, door().syscall(nr.SYS_chown, path, uid, gid));
}

export function workingDirectory(): string {
  const buffer = new Uint8Array(4096);
  const length = must("getcwd", "", door().syscall(nr.SYS_getcwd, buffer, buffer.length));
  return door().decode(buffer, 0, length - 1);
}

export function changeDirectory(path: string): void {
  must("chdir", path, door().syscall(nr.SYS_chdir, path));
}

/** Closes all descriptors from `first` to `last` (kernel 5.9); an empty range is allowed. */
export function closeRange(first: number, last: number): void {
  if (first <= last) must("close_range", `${first} ${last}`, door().syscall(nr.SYS_close_range, first, last, 0));
}

const LAST_DESCRIPTOR = 0xffffffff;

/** Closes all from `first` on, but for the kept ones; `kept` may name one twice, or one below `first`. */
export function closeAllBut(kept: readonly number[], first: number): void {
  let from = first;
  for (const number of [...kept].sort((a, b) => a - b)) {
    if (number < from) continue;
    closeRange(from, number - 1);
    from = number + 1;
  }
  closeRange(from, LAST_DESCRIPTOR);
}
