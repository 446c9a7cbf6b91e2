// ctr tasks exec: a further process in a running container, with the container's own environment and rights.

import { Failure } from "../../../base/errors.ts";
import type { Command } from "../cli/command.ts";
import { bool, text } from "../cli/flag.ts";

export const EXEC: Command = {
  names: ["exec"],
  usage: "execute additional processes in an existing container",
  argsUsage: "[flags] CONTAINER CMD [ARG...]",
  flagsFirst: true,
  flags: [
    text("cwd", "working directory of the new process"),
    bool("tty, t", "allocate a TTY for the container"),
    bool("detach, d", "detach from the task after it has started execution"),
    text("exec-id", "exec specific id for the process", { required: true }),
    text("fifo-dir", "directory used for storing IO FIFOs"),
    text("log-uri", "log uri for custom shim logging"),
    text("user", "user id or name"),
  ],
  async action(call) {
    const id = call.arg(0);
    if (id === "") throw new Failure("invalid_argument", "container id must be provided");
    const { nouns } = await call.session();
    const { execProcess, specOfContainer, taskOf } = await import("../run/task.ts");
    const { container, task } = await taskOf(nouns, id);
    const process = { ...specOfContainer(container).process };
    if (call.string("user") !== "") {
      const { resolveUser } = await import("../../../core/rootfs/users.ts");
      const { rootOfProcess } = await import("../../../core/rootfs/walk.ts");
      process.user = resolveUser(rootOfProcess(task.pid), call.string("user"), []).user;
    }
    process.terminal = call.bool("tty");
    process.args = call.args.slice(1);
    if (call.string("cwd") !== "") process.cwd = call.string("cwd");
    return execProcess(nouns, id, process, {
      execId: call.string("exec-id"),
      detach: call.bool("detach"),
      logUri: call.string("log-uri"),
      fifoDirectory: call.string("fifo-dir"),
    });
  },
};
