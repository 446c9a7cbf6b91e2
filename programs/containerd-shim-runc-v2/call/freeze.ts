// Pausing and resuming through the runtime, which may be killed in the middle: then the kernel's state decides. A pause
// that failed leaves nobody frozen; a resume that did its work has not failed.

import { statusOf } from "./repeat.ts";
import type { Runc } from "./runc.ts";

export async function freeze(runc: Runc, id: string, command: "pause" | "resume"): Promise<void> {
  try {
    await runc.run(`OCI runtime ${command} failed`, [command, id]);
  } catch (thrown) {
    const status = await statusOf(runc, id).catch(() => null);
    if (command === "resume" && status === "running") return;
    if (command === "pause" && status === "paused") await runc.run("", ["resume", id]).catch(() => {});
    throw thrown;
  }
}
