// Calls of the runtime that are made again when the runtime is killed in the middle of them: removing a container (by
// force then, because the rest may be no container any more) and asking for its status.

import { messageOf } from "../../../base/errors.ts";
import { REPEAT_ATTEMPTS } from "../limits.ts";
import type { Runc } from "./runc.ts";

export async function removeContainer(runc: Runc, id: string, how: { force: boolean }): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const force = how.force || attempt > 1 ? ["--force"] : [];
    try {
      await runc.run("failed to delete task", ["delete", ...force, id]);
      return;
    } catch (thrown) {
      // A runtime may have removed it already, after a checkpoint for one.
      if (!how.force && messageOf(thrown).includes("does not exist")) return;
      if (attempt >= REPEAT_ATTEMPTS || !wasKilled(thrown)) throw thrown;
    }
  }
}

/** In the runtime's words: created, running, paused, stopped. */
export async function statusOf(runc: Runc, id: string): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (JSON.parse(await runc.run("state", ["state", id])) as { status?: unknown }).status;
    } catch (thrown) {
      if (attempt >= REPEAT_ATTEMPTS || !wasKilled(thrown)) throw thrown;
    }
  }
}

function wasKilled(thrown: unknown): boolean {
  return / signal: \d+/.test(messageOf(thrown));
}
