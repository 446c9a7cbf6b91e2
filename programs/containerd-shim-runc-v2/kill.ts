// Signals to a task's processes: who there is, who must get one when the first process ends, and failures in the
// original's words, which the daemon and its clients match.

import { Failure, messageOf } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { readText } from "../../linux/fd.ts";
import { kill } from "../../linux/signal.ts";
import type { Runc } from "./call/runc.ts";
import { CONFIG_LIMIT } from "./limits.ts";

/** To an executed process, which no runtime command knows by itself. */
export function killExec(pid: number, signal: number): void {
  if (pid === 0) throw new Failure("failed_precondition", "process not created");
  let there: boolean;
  try {
    there = kill(pid, signal);
  } catch (thrown) {
    const reason = messageOf(thrown).replace(/^kill \d+: /, "");
    throw new Failure("unknown", `exec kill error: unknown error after kill: ${reason}`, { cause: thrown });
  }
  if (!there) throw new Failure("not_found", "process already finished");
}

/** To the whole container, through its runtime. */
export async function killAll(runc: Runc, id: string, how: { signal: number; all: boolean }): Promise<void> {
  try {
    await runc.run("", ["kill", ...(how.all ? ["--all"] : []), id, String(how.signal)]);
  } catch (thrown) {
    throw killFailure(thrown);
  }
}

/** What a failed `kill` of the runtime means. */
function killFailure(thrown: unknown): Failure {
  const reason = messageOf(thrown).replace(/^: /, "");
  const finished = ["os: process already finished", "container not running", "no such process"];
  if (finished.some((words) => reason.toLowerCase().includes(words))) {
    return new Failure("not_found", "process already finished", { cause: thrown });
  }
  if (reason.includes("does not exist")) return new Failure("not_found", "no such container", { cause: thrown });
  return new Failure("unknown", `unknown error after kill: ${reason}`, { cause: thrown });
}

/** Whether the container has no pid namespace of its own: the kernel does not end the rest with the first process. */
export function sharesPids(bundle: string): boolean {
  try {
    const spec = parseJson(readText(`${bundle}/config.json`, CONFIG_LIMIT)) as {
      linux?: { namespaces?: { type: string; path?: string }[] };
    };
    const own = spec.linux?.namespaces?.some((one) => one.type === "pid" && (one.path ?? "") === "");
    return own !== true;
  } catch {
    return false;
  }
}

/** All pids of the container, by the runtime's own account. "None" is no answer: a daemon of containerd 2.x that finds
 *  a shim again takes it for one whose task was never made, and throws its exit status away. */
export async function pidsOf(runc: Runc, id: string): Promise<number[]> {
  const text = await runc.run("OCI runtime ps failed", ["ps", "--format", "json", id]);
  // The original runtime says null.
  const pids = (JSON.parse(text) as number[] | null) ?? [];
  if (pids.length === 0) throw new Failure("failed_precondition", `the processes of ${id} have ended`);
  return pids;
}
