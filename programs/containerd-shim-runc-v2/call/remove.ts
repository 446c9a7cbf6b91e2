// Having the runtime remove a container. A removal can be done again, so one whose runtime was killed in the middle of
// it is: by force then, because the rest may be no container any more.

import { messageOf } from "../../../base/errors.ts";
import { REMOVE_ATTEMPTS } from "../limits.ts";
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
      if (attempt >= REMOVE_ATTEMPTS || !/ signal: \d+/.test(messageOf(thrown))) throw thrown;
    }
  }
}
