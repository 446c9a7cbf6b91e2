// ctr run: a container, its task, and both gone again with --rm; the exit code is the process's.

import { Failure } from "../../../base/errors.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { Session } from "../call/session.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import type { Invocation } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { RUN_FLAGS } from "../run/flags.ts";

export const RUN: Command = {
  names: ["run"],
  usage: "run a container",
  argsUsage: "[flags] Image|RootFS ID [COMMAND] [ARG...]",
  flags: RUN_FLAGS,
  flagsFirst: true,
  async action(call) {
    const { createContainer, namedBy } = await import("../run/create.ts");
    namedBy(call);
    const [remove, detach] = [call.bool("rm"), call.bool("detach")];
    if (remove && detach) {
      throw new Failure("invalid_argument", "flags --detach and --rm cannot be specified together");
    }
    if (call.bool("tty") && !detach && !process.stdin.isTTY) {
      throw new Failure("failed_precondition", "provided file is not a console");
    }
    const session = await call.session();
    const container = await createContainer(call, session);
    try {
      return await start(call, session, container);
    } finally {
      if (remove) await removeContainer(session, container);
    }
  },
};

async function start(call: Invocation, session: Session, container: Container): Promise<number> {
  const { startTask } = await import("../run/task.ts");
  return startTask(session.nouns, container, {
    nullIo: call.bool("null-io"),
    logUri: call.string("log-uri"),
    fifoDirectory: call.string("fifo-dir"),
    detach: call.bool("detach"),
    pidFile: call.string("pid-file"),
    noPivot: call.bool("no-pivot"),
  });
}

async function removeContainer({ nouns }: Session, { id, snapshotter, snapshotKey }: Container): Promise<void> {
  try {
    if (snapshotKey !== "") await nouns.snapshots(snapshotter).remove(snapshotKey);
    await nouns.containers.delete(id);
  } catch (thrown) {
    log("error", "failed to clean up container", sentenceOf(thrown));
  }
}
