// `runc delete`.

import { codeOf, Failure } from "../../../base/errors.ts";
import { pathsOf } from "../../../container/layout.ts";
import { openDirectory } from "../../../container/lock.ts";
import { killContainer, removeBroken, removeContainer } from "../../../container/remove.ts";
import { loadContainer, statusOf } from "../../../container/state.ts";
import { pause } from "../../../linux/process.ts";
import type { Command } from "../command.ts";

/** A process that was just killed may not be gone yet; looked at again after this many milliseconds. */
const DYING_WAIT = 10;
const DYING_ROUNDS = 10;

export const deleteContainer: Command = {
  name: "delete",
  arguments: "<container-id>",
  summary: "delete any resources held by the container often used with detached container",
  run(line, { root, log }) {
    const force = line.flags.bool("force", "f", "Forcibly deletes the container if it is still running (uses SIGKILL)");
    const [id] = line.parse(1, 1);
    const warn = (message: string) => log.warn(message);
    const paths = pathsOf(root, id!);
    // Before the record is read, so that the lock is on the directory that the record came from.
    using directory = openDirectory(paths.directory);
    let container: ReturnType<typeof loadContainer>;
    try {
      container = loadContainer(root, id!);
    } catch (thrown) {
      // Without force a damaged record is left for somebody to look at, as the original does.
      if (force.value || codeOf(thrown) === "not_found") removeBroken(paths, force.value);
      if (force.value) return 0;
      throw thrown;
    }
    let status = statusOf(container);
    for (let round = 0; status === "running" && !force.value && round < DYING_ROUNDS; round++) {
      pause(DYING_WAIT);
      status = statusOf(container);
    }
    if (status !== "stopped" && status !== "created" && !force.value) {
      throw new Failure("failed_precondition", `cannot delete container ${id} that is not stopped: ${status}`);
    }
    if (status !== "stopped") killContainer(container);
    if (!removeContainer(container, { warn, directory, force: force.value }) && !force.value) {
      throw new Failure("not_found", "container does not exist");
    }
    return 0;
  },
};
