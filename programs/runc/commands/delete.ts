// `runc delete`.

import { deleteContainer as remove } from "../../../container/detached.ts";
import { type Command, callerOf } from "../command.ts";

export const deleteContainer: Command = {
  name: "delete",
  arguments: "<container-id>",
  summary: "delete any resources held by the container often used with detached container",
  run(line, context) {
    const force = line.flags.bool("force", "f", "Forcibly deletes the container if it is still running (uses SIGKILL)");
    const [id] = line.parse(1, 1);
    remove(id!, force.value, callerOf(context));
    return 0;
  },
};
