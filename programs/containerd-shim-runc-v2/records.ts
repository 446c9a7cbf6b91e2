// What a bundle has on record: its task, its sandbox or both. A sandbox's bundle has a task only if the daemon gave
// both the same id.

import { stat } from "../../linux/fd.ts";
import { readTaskRecord, type TaskRecord, taskRecordPath } from "./record.ts";
import { readSandboxRecord } from "./sandbox-record.ts";

export interface Records {
  task: TaskRecord | null;
  sandbox: ReturnType<typeof readSandboxRecord>;
}

/** One at least. Throws Failure: "not_found" without any, "failed_precondition" when one cannot be used. */
export function recordsIn(bundle: string): Records {
  const sandbox = readSandboxRecord(bundle);
  const task = sandbox === null || stat(taskRecordPath(bundle)) !== null ? readTaskRecord(bundle) : null;
  return { task, sandbox };
}
