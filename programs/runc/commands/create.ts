// `runc create`: the container waits for `runc start`.

import { createDetached } from "../../../container/detached.ts";
import { type Command, callerOf } from "../command.ts";
import { bundleFlags, requestFrom } from "./bundle.ts";

export const create: Command = {
  name: "create",
  arguments: "<container-id>",
  summary: "create a container",
  run(line, context) {
    const given = bundleFlags(line);
    const [id] = line.parse(1, 1);
    createDetached(requestFrom(given, id!), callerOf(context));
    return 0;
  },
};
