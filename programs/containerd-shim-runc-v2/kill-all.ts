// A signal to a whole container, through its runtime; and whether its pid namespace would end the rest with the first.

import { Failure, messageOf } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { readText } from "../../linux/fd.ts";
import type { Runc } from "./call/runc.ts";
import { CONFIG_LIMIT } from "./limits.ts";

/** Whether the end of the first process is not the end of the others. */
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

export async function killAll(runc: Runc, id: string, how: { signal: number; all: boolean }): Promise<void> {
  try {
    await runc.run("", ["kill", ...(how.all ? ["--all"] : []), id, String(how.signal)]);
  } catch (thrown) {
    const reason = messageOf(thrown).replace(/^: /, "");
    const finished = ["os: process already finished", "container not running", "no such process"];
    if (finished.some((words) => reason.toLowerCase().includes(words))) {
      throw new Failure("not_found", "process already finished", { cause: thrown });
    }
    if (reason.includes("does not exist")) throw new Failure("not_found", "no such container", { cause: thrown });
    throw new Failure("unknown", `unknown error after kill: ${reason}`, { cause: thrown });
  }
}
