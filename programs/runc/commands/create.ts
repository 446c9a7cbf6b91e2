// `runc create`: the container waits for `runc start`.

import { Failure, messageOf } from "../../../base/errors.ts";
import { createContainer } from "../../../container/create.ts";
import { failpoint } from "../../../container/failpoints.ts";
import { killContainer, removeContainer } from "../../../container/remove.ts";
import { requireSealed } from "../../../container/seal.ts";
import { connectUnix } from "../../../linux/socket.ts";
import type { Command } from "../command.ts";
import { bundleFlags, planFrom, writePidFile } from "./bundle.ts";
import { sendPidfd } from "./pidfd.ts";

export const create: Command = {
  name: "create",
  arguments: "<container-id>",
  summary: "create a container",
  run(line, context) {
    const given = bundleFlags(line);
    const [id] = line.parse(1, 1);
    try {
      requireSealed();
      const plan = planFrom(given, id!, context);
      const { terminal } = plan.process.spec;
      if (terminal && given.console.value === "") {
        throw new Failure("invalid_argument", "cannot allocate tty if runc will detach without setting console socket");
      }
      if (!terminal && given.console.value !== "") {
        throw new Failure("invalid_argument", "cannot use console socket if runc will not detach or allocate tty");
      }
      using console = terminal ? connectUnix(given.console.value) : null;
      const warn = (message: string) => context.log.warn(message);
      const voice = { warn, debug: context.log.stages };
      const created = starting(() => createContainer({ plan, fifo: true, console: console?.number ?? null, ...voice }));
      try {
        writePidFile(given.pidFile.value, created.pid);
        sendPidfd(given.pidfd.value, created.pid);
        failpoint("create.returning");
        created.release();
      } catch (thrown) {
        const container = { paths: plan.paths, record: created.record };
        killContainer(container);
        removeContainer(container, { warn, directory: null, force: false });
        throw thrown;
      }
      return 0;
    } catch (thrown) {
      throw new Failure("unknown", `runc create failed: ${messageOf(thrown)}`, { cause: thrown });
    }
  },
};

const ALONE = ["container with given ID already exists", "invalid container ID format"];

/** The words that upper layers look for around what went wrong with the process. */
export function starting<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    const message = messageOf(thrown);
    if (ALONE.includes(message) || message.startsWith("namespace path:")) {
      const prefix = message.startsWith("namespace path:") ? "unable to create new parent process: " : "";
      throw new Failure("failed_precondition", `${prefix}${message}`, { cause: thrown });
    }
    throw new Failure("failed_precondition", `unable to start container process: ${message}`, { cause: thrown });
  }
}
