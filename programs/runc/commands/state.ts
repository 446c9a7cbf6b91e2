// `runc state`: what a container is, as JSON.

import { loadContainer, stateOf } from "../../../container/state.ts";
import { type Command, print } from "../command.ts";

export const state: Command = {
  name: "state",
  arguments: "<container-id>",
  summary: "output the state of a container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    const { annotations, owner: _, ...rest } = stateOf(loadContainer(root, id!));
    // The original leaves the owner empty here and fills it in `list`.
    const some = Object.keys(annotations).length > 0;
    print(JSON.stringify({ ...rest, ...(some ? { annotations } : {}), owner: "" }, null, 2));
    return 0;
  },
};
