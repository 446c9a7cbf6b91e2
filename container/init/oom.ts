// oom_score_adj: whom the kernel ends first when memory is short. Set early and passed on to children, because lowering
// it takes a right that counts in the first user namespace alone.

import { Failure } from "../../base/errors.ts";
import { EACCES, errnoOf } from "../../linux/errno.ts";
import { writeFile } from "../../linux/fd.ts";
import type { ProcessPlan } from "../plan.ts";

/** Of another process: by root alone, since ours cannot be looked into. Of "self": before it can no longer be. */
export function setOomScore({ spec }: ProcessPlan, pid: number | "self"): void {
  const score = spec.oomScoreAdj;
  if (score === null) return;
  try {
    writeFile(`/proc/${pid}/oom_score_adj`, String(score));
  } catch (thrown) {
    if (errnoOf(thrown) !== EACCES) throw thrown;
    const why = "lowering it takes CAP_SYS_RESOURCE, which this runtime does not have";
    throw new Failure("permission_denied", `write ${score} to oom_score_adj: permission denied (${why})`);
  }
}
