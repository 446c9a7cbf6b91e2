// `runc start`.

import { startDetached } from "../../../container/detached.ts";
import type { Command } from "../command.ts";

export const start: Command = {
  name: "start",
  arguments: "<container-id>",
  summary: "executes the user defined process in a created container",
  run(line, context) {
    const [id] = line.parse(1, 1);
    startDetached(id!, context);
    return 0;
  },
};
