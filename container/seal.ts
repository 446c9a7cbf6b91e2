// The runtime's own executable must be out of a container's reach (CVE-2019-5736): the host starts over from a
// read-only copy of the mount it lies on before any program is loaded (host/src/seal.rs). Here is only the proof that
// it did. docs/decisions/0004 says why this is needed even though the runtime never executes itself inside a container.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { O_RDONLY, open } from "../linux/fd.ts";
import { mountFlags } from "../linux/mount.ts";
import * as nr from "../linux/numbers.ts";

const ST_RDONLY = 1;
const F_GET_SEALS = 1034;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE of linux/fcntl.h */
const SEALS = 0xf;

/** Before anything enters a container. */
export function requireSealed(): void {
  if (isSealed()) return;
  throw new Failure(
    "failed_precondition",
    "the runtime's executable is not on a read-only mount, and no copy could be made",
  );
}

export function isSealed(): boolean {
  return (mountFlags("/proc/self/exe") & ST_RDONLY) !== 0 || isSealedMemory();
}

function isSealedMemory(): boolean {
  using own = open("/proc/self/exe", O_RDONLY);
  const seals = door().syscall(nr.SYS_fcntl, own.number, F_GET_SEALS, 0);
  return seals >= 0 && (seals & SEALS) === SEALS;
}
