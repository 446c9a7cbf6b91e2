// What the daemon keeps open of a task so that nothing is lost while no shim is there: the pipes of its output, whose
// content lives as long as somebody has them open, and its first process, whose exit status the kernel tells whoever
// has held it. Only of shims that can be replaced: task.json in the bundle is theirs.

import { closeSync, constants, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { OUTPUT_FIFOS, TASK_RECORD } from "../../../api/task/extensions.ts";

export class Holds {
  private readonly open: readonly number[];
  /** Passed on to `adopt` and `delete`. Null before kernel 6.9, whose pidfds cannot be opened again. */
  readonly pidfd: number | null;

  private constructor(open: readonly number[], pidfd: number | null) {
    this.open = open;
    this.pidfd = pidfd;
  }

  /** Of the task in that bundle, as far as there is something. */
  static async take(bundle: string): Promise<Holds> {
    const pidfd = await holder(bundle);
    const pipes = OUTPUT_FIFOS.map((name) => opened(join(bundle, name))).filter((fd) => fd !== null);
    return new Holds(pipes, pidfd);
  }

  close(): void {
    for (const fd of this.open) closeSync(fd);
    if (this.pidfd !== null) closeSync(this.pidfd);
  }
}

/** The shim holds a pidfd of the first process and says under which number. */
async function holder(bundle: string): Promise<number | null> {
  try {
    const record = JSON.parse(await readFile(join(bundle, TASK_RECORD), "utf8")) as {
      holder?: { shim?: number; pidfd?: number };
    };
    const { shim, pidfd } = record.holder ?? {};
    if (!Number.isInteger(shim) || !Number.isInteger(pidfd) || pidfd! < 0) return null;
    return opened(`/proc/${shim}/fd/${pidfd}`);
  } catch {
    return null;
  }
}

/** Without waiting for a writer. */
function opened(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}
