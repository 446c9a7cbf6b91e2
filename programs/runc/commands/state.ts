// `runc state`: what a container is, as JSON.

import { loadContainer, stateAsJson } from "../../../container/state.ts";
import { type Command, print } from "../command.ts";

export const state: Command = {
  name: "state",
  arguments: "<container-id>",
  summary: "output the state of a container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    print(stateAsJson(loadContainer(root, id!)));
    return 0;
  },
};
