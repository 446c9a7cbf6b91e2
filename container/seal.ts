// Protects the runtime's own executable from containers (CVE-2019-5736). docs/decisions/ says why this is needed even
// though the runtime never executes itself inside: `#!/proc/self/exe` makes the kernel do it.
//
// The process goes on from a detached, read-only copy of the mount its executable lies on: /proc/PID/exe then leads to
// a file that nobody can open for writing, and the mount is in no namespace where it could be changed.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { errnoSentence } from "../linux/errno.ts";
import { AT_EMPTY_PATH, O_PATH, open } from "../linux/fd.ts";
import { changeMount, cloneTree, MOUNT_ATTR_RDONLY, mountFlags } from "../linux/mount.ts";
import * as nr from "../linux/numbers.ts";
import { pointerArray } from "../linux/process.ts";

const ST_RDONLY = 1;

/** Returns when the executable is out of reach already; else starts over from the copy. Before anything is opened. */
export function sealExecutable(): void {
  if ((mountFlags("/proc/self/exe") & ST_RDONLY) !== 0) return;
  using self = open("/proc/self/exe", O_PATH);
  using copy = cloneTree(self.number, "", false);
  changeMount(copy.number, { set: MOUNT_ATTR_RDONLY });
  const argv = pointerArray(door().args);
  const envp = pointerArray(door().env);
  const result = door().syscall(nr.SYS_execveat, copy.number, "", argv.pointers, envp.pointers, AT_EMPTY_PATH);
  throw new Failure("internal", `the runtime cannot go on from a read-only copy of itself: ${errnoSentence(-result)}`);
}
