// `delete`: the daemon lost the shim of a task (it was killed, or never came up) and has what is left removed. Prints
// what the task's end was, as far as anybody can still say: killed, now.

import { DeleteResponse } from "../../api/task/gen/task_v3.ts";
import { messageOf } from "../../base/errors.ts";
import { wallNanoseconds } from "../../linux/clock.ts";
import type { Door } from "../../linux/door.ts";
import * as fd from "../../linux/fd.ts";
import { start } from "../../runtime/quickjs/runtime.ts";
import { isServed } from "./address.ts";
import { Runc } from "./call/runc.ts";
import type { CommandLine } from "./command-line.ts";
import { ADDRESS_LIMIT } from "./limits.ts";
import { readOptions, rootOf, runtimeOf } from "./options.ts";
import { Reaper } from "./reaper.ts";
import { unmountAll } from "./rootfs.ts";
import { timestamp } from "./time.ts";

/** 128 + SIGKILL */
const EXIT_KILLED = 137;

export function deleteTask(given: Door, command: CommandLine): undefined {
  start(given, async (runtime) => {
    const bundle = command.bundle === "" ? fd.workingDirectory() : command.bundle;
    const warn = (what: string, thrown: unknown) =>
      fd.writeAll(2, given.encode(`level=warning msg=${JSON.stringify(`${what}: ${messageOf(thrown)}`)}\n`));
    const options = readOptions(bundle);
    const settings = {
      command: runtimeOf(options),
      root: rootOf(options, command.namespace),
      bundle,
      systemdCgroup: options.systemdCgroup,
    };
    const runc = new Runc(runtime.loop, new Reaper(runtime.loop), settings);
    try {
      await runc.run("failed to delete task", ["delete", "--force", command.id]);
    } catch (thrown) {
      warn("failed to remove runc container", thrown);
    }
    try {
      unmountAll(`${bundle}/rootfs`);
      removeDeadSocket(bundle);
    } catch (thrown) {
      warn("failed to cleanup rootfs mount", thrown);
    }
    const pid = Number(fd.readTextIfThere(`${bundle}/init.pid`, ADDRESS_LIMIT) ?? "0");
    const exitedAt = timestamp(wallNanoseconds());
    fd.writeAll(1, DeleteResponse.encode({ pid, exitStatus: EXIT_KILLED, exitedAt }));
    return 0;
  });
  return undefined;
}

/** The socket of a shim that died without removing it. A shim that serves other containers keeps its own. */
function removeDeadSocket(bundle: string): void {
  const address = fd.readTextIfThere(`${bundle}/address`, ADDRESS_LIMIT) ?? "";
  const path = address.replace(/^unix:\/\//, "");
  if (path.startsWith("/") && !isServed(path)) fd.unlinkIfThere(path);
}
