// A mount namespace for the while that criu is started in it: what is mounted for a restore is never seen on the host,
// and goes away with criu even when this process is killed. criu reaches our descriptors through /proc, and mounts
// things below the directories they name; so those, too, are opened in there.

import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { MS_REC, MS_SLAVE, mount } from "../../linux/mount.ts";
import { NAMESPACES, setNamespace, unshare } from "../../linux/namespace.ts";
import * as nr from "../../linux/numbers.ts";

/** Does it in a new mount namespace and comes back: root and working directory are what they were. */
export function inOwnMounts<Result>(work: () => Result): Result {
  const { flag, file } = NAMESPACES.mount;
  using home = fs.open(`/proc/self/ns/${file}`, fs.O_RDONLY);
  using root = fs.open("/", fs.O_PATH | fs.O_DIRECTORY);
  using here = fs.open(".", fs.O_PATH | fs.O_DIRECTORY);
  unshare(flag);
  try {
    // Slave: the host's later mounts still arrive below binds.
    mount({ target: "/", flags: MS_SLAVE | MS_REC });
    return work();
  } finally {
    setNamespace(home.number, flag, "mount");
    // Joining one leads to its root, also a process that was in a chroot.
    must("fchdir", "/", door().syscall(nr.SYS_fchdir, root.number));
    must("chroot", "/", door().syscall(nr.SYS_chroot, "."));
    must("fchdir", ".", door().syscall(nr.SYS_fchdir, here.number));
  }
}
