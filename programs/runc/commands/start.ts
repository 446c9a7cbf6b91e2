// `runc start`.

import { startContainer } from "../../../container/start.ts";
import { loadContainer } from "../../../container/state.ts";
import type { Command } from "../command.ts";

export const start: Command = {
  name: "start",
  arguments: "<container-id>",
  summary: "executes the user defined process in a created container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    startContainer(loadContainer(root, id!));
    return 0;
  },
};
