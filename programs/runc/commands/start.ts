// `runc start`.

import { Readiness } from "../../../container/readiness.ts";
import { startContainer } from "../../../container/start.ts";
import { isAlive, loadContainer, statusOf } from "../../../container/state.ts";
import type { Command } from "../command.ts";

export const start: Command = {
  name: "start",
  arguments: "<container-id>",
  summary: "executes the user defined process in a created container",
  run(line, { root, variable }) {
    const [id] = line.parse(1, 1);
    const container = loadContainer(root, id!);
    const host = variable("NOTIFY_SOCKET") ?? "";
    if (host === "" || statusOf(container) !== "created") {
      startContainer(container);
      return 0;
    }
    using readiness = new Readiness(container.paths, host);
    startContainer(container);
    readiness.wait(container.record.init_process_pid, () => isAlive(container.record));
    return 0;
  },
};
