// `delete`: the daemon lost the shim of a task (it was killed, or never came up) and has what is left removed. Prints
// what the task's end was: what the killed shim or the kernel still knows of it; killed, now, if it lived until this;
// 255 if it ended when nobody looked. A task without a record of ours is said to be killed, as the original has it.
// What a sandbox left is removed with the sandbox's own bundle, and told in the same way.

import { DeleteResponse } from "../../api/task/gen/task_v3.ts";
import { messageOf } from "../../base/errors.ts";
import type { Clock } from "../../base/runtime.ts";
import { wallNanoseconds } from "../../linux/clock.ts";
import type { Door } from "../../linux/door.ts";
import * as fd from "../../linux/fd.ts";
import { isRunning } from "../../linux/pidfd.ts";
import { start } from "../../runtime/quickjs/runtime.ts";
import { addressIn, isServed } from "./address.ts";
import { removeContainer } from "./call/repeat.ts";
import { Runc } from "./call/runc.ts";
import type { CommandLine } from "./command-line.ts";
import { ADDRESS_LIMIT, EXIT_UNKNOWN, HOLDER_END_INTERVAL, HOLDER_END_TIMEOUT } from "./limits.ts";
import { readOptions, rootOf, runtimeOf } from "./options.ts";
import { heldEnd, killProcess } from "./pidwatch.ts";
import { type Ended, Reaper } from "./reaper.ts";
import { recordsIn } from "./records.ts";
import { unmountAll } from "./rootfs.ts";
import { type HolderFacts, holderIn, removeSandboxRecord } from "./sandbox-record.ts";
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
    const holder = holderIn(bundle);
    const end = endOf(bundle, runtime.env);
    const runc = new Runc(runtime.loop, new Reaper(runtime.loop), settings);
    try {
      await removeContainer(runc, command.id, { force: true });
    } catch (thrown) {
      warn("failed to remove runc container", thrown);
    }
    try {
      unmountAll(`${bundle}/rootfs`);
      if (holder !== null) await endHolder(runtime.clock, holder);
      removeSandboxRecord(bundle);
      removeDeadSocket(bundle);
    } catch (thrown) {
      warn("failed to cleanup rootfs mount", thrown);
    }
    const pid = Number(fd.readTextIfThere(`${bundle}/init.pid`, ADDRESS_LIMIT) ?? holder?.pid ?? "0");
    const { code, at } = end ?? { code: EXIT_KILLED, at: wallNanoseconds() };
    fd.writeAll(1, DeleteResponse.encode({ pid, exitStatus: code, exitedAt: timestamp(at) }));
    return 0;
  });
  return undefined;
}

/** With it go the namespaces that it held, and what still runs in its pid namespace. */
async function endHolder(clock: Clock, holder: HolderFacts): Promise<void> {
  killProcess(holder);
  const deadline = clock.monotonic() + HOLDER_END_TIMEOUT;
  while (isRunning(holder)) {
    if (clock.monotonic() > deadline) throw new Error(`the sandbox's process ${holder.pid} does not end`);
    await clock.sleep(HOLDER_END_INTERVAL);
  }
}

/** Before anything is killed: the end that came already; null for a task that lives, or of which nothing is known. */
function endOf(bundle: string, env: Readonly<Record<string, string>>): Ended | null {
  try {
    const { task, sandbox } = recordsIn(bundle);
    const record = task ?? sandbox!.record;
    if (record.ended !== null) return record.ended;
    if (record.pid === 0 || isRunning(record)) return null;
    return heldEnd(env) ?? { code: EXIT_UNKNOWN, at: wallNanoseconds() };
  } catch {
    return null;
  }
}

/** The socket of a shim that died without removing it. A shim that serves other containers keeps its own. */
function removeDeadSocket(bundle: string): void {
  const path = addressIn(bundle);
  if (path !== null && !isServed(path)) fd.unlinkIfThere(path);
}
