// The runtime's own executable must be out of a container's reach (CVE-2019-5736): the host starts over from a
// read-only copy of the mount it lies on before any program is loaded (host/src/seal.rs). Here is only the proof that
// it did. docs/decisions/0004 says why this is needed even though the runtime never executes itself inside a container.

import { Failure } from "../base/errors.ts";
import { mountFlags } from "../linux/mount.ts";

const ST_RDONLY = 1;

/** Before anything enters a container. */
export function requireSealed(): void {
  if ((mountFlags("/proc/self/exe") & ST_RDONLY) !== 0) return;
  throw new Failure(
    "failed_precondition",
    "the runtime's executable is not on a read-only mount, and no copy could be made",
  );
}
