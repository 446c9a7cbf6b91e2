// Ending a task that must not go on, whatever state it is in: of a start that failed after its process ran, or of a
// container that was removed meanwhile.

import { codeOf } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";

const SIGKILL = 9;
/** Milliseconds for a killed task to end, and between two looks. */
const END_TIMEOUT_MS = 10_000;
const LOOK_MS = 20;

/** Throws when it could not be deleted; none is no error. */
export async function endTask(engine: Engine, id: string): Promise<void> {
  const { tasks } = engine.containerd;
  for (const late = engine.clock.monotonic() + END_TIMEOUT_MS; ; ) {
    try {
      await tasks.delete(id);
      return;
    } catch (thrown) {
      if (codeOf(thrown) === "not_found") return;
      // Without containerd there is nothing to be done: what is left is found when it is back.
      if (codeOf(thrown) === "unavailable" || engine.clock.monotonic() > late) throw thrown;
    }
    await tasks.kill({ id, execId: "", signal: SIGKILL, all: true }).catch(() => {});
    await engine.clock.sleep(LOOK_MS);
  }
}
