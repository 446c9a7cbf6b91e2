// `runc run`: create and start in one; in the foreground this process stays, hands signals on and ends with the
// container's exit code.

import { Failure, messageOf } from "../../../base/errors.ts";
import { createContainer, stateFor } from "../../../container/create.ts";
import { planFrom, starting, tell } from "../../../container/detached.ts";
import { runHooks } from "../../../container/hooks.ts";
import { Readiness } from "../../../container/readiness.ts";
import { killContainer, removeContainer } from "../../../container/remove.ts";
import { requireSealed } from "../../../container/seal.ts";
import { type ContainerRecord, isAlive } from "../../../container/state.ts";
import { door } from "../../../linux/door.ts";
import { setChildSubreaper } from "../../../linux/process.ts";
import { type Command, callerOf } from "../command.ts";
import { bundleFlags, requestFrom } from "./bundle.ts";
import { Foreground } from "./foreground.ts";
import { openConsole } from "./terminal.ts";

/** A watcher that has gone is none of the container's business. */
function awaitReadiness(readiness: Readiness, record: ContainerRecord): void {
  try {
    readiness.wait(record.init_process_pid, () => isAlive(record));
  } catch {
    return;
  }
}

/** The original's code of a container whose program the kernel refused. */
const EXIT_NOT_EXECUTED = 255;

export const run: Command = {
  name: "run",
  arguments: "<container-id>",
  summary: "create and run a container",
  run(line, context) {
    const given = bundleFlags(line);
    const detach = line.flags.bool("detach", "d", "detach from the container's process");
    const keep = line.flags.bool("keep", "", "do not delete the container after it exits");
    const noSubreaper = line.flags.bool("no-subreaper", "", "disable the use of the subreaper");
    const [id] = line.parse(1, 1);
    const warn = (message: string) => context.log.warn(message);
    const voice = { warn, debug: context.log.stages };
    try {
      requireSealed();
      const request = requestFrom(given, id!);
      const plan = planFrom(request, callerOf(context));
      using console = openConsole(plan.process.spec, { detach: detach.value, socket: request.console });
      const foreground = detach.value ? null : new Foreground();
      if (!noSubreaper.value && !detach.value) setChildSubreaper();
      const created = starting(() => createContainer({ plan, fifo: false, console: console.send, ...voice }));
      const container = { paths: plan.paths, record: created.record };
      try {
        using readiness = plan.readiness ? new Readiness(plan.paths, context.variable("NOTIFY_SOCKET")!) : null;
        const master = console.receive();
        foreground?.prepare(master);
        tell(created.pid, request);
        created.release();
        const failed = created.outcome();
        if (failed !== null && foreground !== null && failed.startsWith("exec ")) {
          // The original's first process says this on the container's standard error.
          context.log.plain(failed);
          if (!keep.value) removeContainer(container, { warn, directory: null, force: false });
          return EXIT_NOT_EXECUTED;
        }
        if (failed !== null) throw new Failure("failed_precondition", `unable to start container process: ${failed}`);
        runHooks({
          ...{ kind: "poststart", hooks: plan.spec.hooks?.poststart ?? [], environment: door().env },
          state: stateFor(plan, created.pid, "running"),
        });
        if (foreground === null) {
          if (readiness !== null) awaitReadiness(readiness, created.record);
          return 0;
        }
        const code = foreground.follow(created.pid, master, readiness);
        if (!keep.value) removeContainer(container, { warn, directory: null, force: false });
        return code;
      } catch (thrown) {
        killContainer(container);
        removeContainer(container, { warn, directory: null, force: false });
        throw thrown;
      }
    } catch (thrown) {
      throw new Failure("unknown", `runc run failed: ${messageOf(thrown)}`, { cause: thrown });
    }
  },
};
