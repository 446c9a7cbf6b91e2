// tmpcopyup: a new tmpfs starts with what the directory below it held. Copied by descriptors, links as links.

import { door } from "../../linux/door.ts";
import { must, retrying } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { openPlain } from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";

const COPY_CHUNK = 1 << 20;
const DEPTH_LIMIT = 64;

/** `from` is any descriptor of the directory, `into` the root of the detached tmpfs. */
export function copyUp(from: number, into: number): void {
  using source = openPlain(from, ".", fs.O_RDONLY | fs.O_DIRECTORY);
  copyDirectory(source.number, into, DEPTH_LIMIT);
  copyOwner(into, "", fs.statFd(source.number));
}

function copyDirectory(from: number, into: number, depth: number): void {
  if (depth === 0) throw new RangeError(`tmpcopyup: more than ${DEPTH_LIMIT} directories deep`);
  for (const { name } of fs.listOpenDirectory(from)) {
    const found = fs.statAt(from, name, fs.AT_SYMLINK_NOFOLLOW);
    if (found === null) continue;
    const type = found.mode & fs.S_IFMT;
    if (type === fs.S_IFDIR) {
      must("mkdir", name, door().syscall(nr.SYS_mkdirat, into, name, 0o700));
      using source = openPlain(from, name, fs.O_RDONLY | fs.O_DIRECTORY);
      using made = openPlain(into, name, fs.O_RDONLY | fs.O_DIRECTORY);
      copyDirectory(source.number, made.number, depth - 1);
    } else if (type === fs.S_IFREG) copyFile(from, into, name);
    else if (type === fs.S_IFLNK) {
      must("symlink", name, door().syscall(nr.SYS_symlinkat, fs.readLink(name, from), into, name));
    } else continue;
    copyOwner(into, name, found);
  }
}

function copyFile(from: number, into: number, name: string): void {
  using source = openPlain(from, name, fs.O_RDONLY);
  using made = fs.open(name, fs.O_WRONLY | fs.O_CREAT | fs.O_EXCL | fs.O_NOFOLLOW, 0o600, into);
  while (must("sendfile", name, retrying(nr.SYS_sendfile, made.number, source.number, null, COPY_CHUNK)) > 0);
}

function copyOwner(at: number, name: string, found: fs.Stat): void {
  const flags = fs.AT_SYMLINK_NOFOLLOW | (name === "" ? fs.AT_EMPTY_PATH : 0);
  must("chown", name, door().syscall(nr.SYS_fchownat, at, name, found.uid, found.gid, flags));
  if ((found.mode & fs.S_IFMT) === fs.S_IFLNK) return;
  if (name !== "") must("chmod", name, door().syscall(nr.SYS_fchmodat, at, name, found.mode & 0o7777));
  else {
    using self = openPlain(at, ".", fs.O_RDONLY | fs.O_DIRECTORY);
    must("chmod", name, door().syscall(nr.SYS_fchmod, self.number, found.mode & 0o7777));
  }
}
