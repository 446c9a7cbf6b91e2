// Network namespaces held by a path: made, entered and left again by this one-threaded process, so that no child is
// needed. The path is an nsfs bind mount, as the runtime spec wants it.

import { door } from "./door.ts";
import { EINVAL, ENOENT, must } from "./errno.ts";
import { AT_FDCWD, close, type Fd, O_CREAT, O_EXCL, O_RDONLY, open, unlinkIfThere } from "./fd.ts";
import * as nr from "./numbers.ts";

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** f_type of struct statfs for namespace files */
const NSFS_MAGIC = 0x6e736673;
const STATFS_SIZE = 120;
const OWN = "/proc/self/ns/net";

/** Runs `inside` in a new network namespace that is held at `path` (which must not exist), then goes back. When it
 *  throws, the path is gone again. */
export function makeNamespace<T>(path: string, inside: (namespace: Fd) => T): T {
  open(path, O_RDONLY | O_CREAT | O_EXCL, 0o600).close();
  try {
    using home = open(OWN, O_RDONLY);
    must("unshare", "network", door().syscall(nr.SYS_unshare, CLONE_NEWNET));
    try {
      must("mount", path, door().syscall(nr.SYS_mount, OWN, path, null, MS_BIND, null));
      using namespace = open(OWN, O_RDONLY);
      return inside(namespace);
    } finally {
      enter(home);
    }
  } catch (thrown) {
    releaseNamespace(path);
    throw thrown;
  }
}

/** What `make` makes in the namespace; the process is where it was before afterwards. */
export function within<Made>(namespace: Fd, make: () => Made): Made {
  using home = open(OWN, O_RDONLY);
  enter(namespace);
  try {
    return make();
  } finally {
    enter(home);
  }
}

/** Goes on in the namespace. That this fails on the way home cannot be survived: all later work would be misplaced. */
function enter(namespace: Fd): void {
  must("setns", "network", door().syscall(nr.SYS_setns, namespace.number, CLONE_NEWNET));
}

/** Lets the namespace go, which ends when the last process in it has ended. Nothing at the path is no error. */
export function releaseNamespace(path: string): void {
  const result = door().syscall(nr.SYS_umount2, path, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (result !== -EINVAL && result !== -ENOENT) must("unmount", path, result);
  unlinkIfThere(path);
}

/** Whether a namespace is held at the path. */
export function isNamespace(path: string): boolean {
  const fd = door().syscall(nr.SYS_openat, AT_FDCWD, path, O_RDONLY | 0o2000000, 0);
  if (fd < 0) return false;
  const facts = new Uint8Array(STATFS_SIZE);
  const result = door().syscall(nr.SYS_fstatfs, fd, facts);
  close(fd);
  return result === 0 && new DataView(facts.buffer).getUint32(0, true) === NSFS_MAGIC;
}
