// One command at a time makes or removes a container: who does holds an flock on its directory. The kernel gives it up
// with the last descriptor, so a killed command leaves nothing locked. All other commands take no lock: what they do,
// they do to a process (by pidfd) or to files that are replaced whole.
//
//     create   mkdir ─▶ lock ─▶ … ─▶ created ─▶ unlock          (its child closes its copy first thing)
//     delete   open ─▶ read the record ─▶ kill ─▶ lock ─▶ still the same directory? ─▶ remove ─▶ unlock
//
// docs/decisions/0008 says why there is a lock where the original has none.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EAGAIN, EINTR, ENOENT, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { pause } from "../linux/process.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;
/** How long a command that makes or removes the same container is waited for, in milliseconds; then this one fails. */
const LOCK_WAIT = 10_000;
const LOCK_LOOK = 5;

const FLAGS = fs.O_RDONLY | fs.O_DIRECTORY | fs.O_NOFOLLOW | fs.O_CLOEXEC;

/** Null when there is no such directory. A link to one is refused: what is behind it is not the root's. */
export function openDirectory(path: string): fs.Fd | null {
  const fd = door().syscall(nr.SYS_openat, fs.AT_FDCWD, path, FLAGS, 0);
  return fd === -ENOENT ? null : new fs.Fd(must("open", path, fd));
}

/** Whether the lock is ours now. It is held until the descriptor and all its copies are closed. */
export function tryLock(directory: fs.Fd): boolean {
  const result = door().syscall(nr.SYS_flock, directory.number, LOCK_EX + LOCK_NB);
  if (result === -EAGAIN || result === -EINTR) return false;
  must("flock", "container directory", result);
  return true;
}

/** Waits for the lock. False when the directory was removed meanwhile: whoever held the lock did our work. */
export function lockForRemoval(directory: fs.Fd): boolean {
  for (let waited = 0; !tryLock(directory); waited += LOCK_LOOK) {
    if (waited >= LOCK_WAIT) {
      throw new Failure("unavailable", "the container is being created or deleted by another command");
    }
    pause(LOCK_LOOK);
  }
  return isStillThere(directory);
}

/** A directory that was removed has no name left. */
export function isStillThere(directory: fs.Fd): boolean {
  return fs.statFd(directory.number).links > 0;
}
