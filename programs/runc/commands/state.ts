// `runc state`: what a container is, as JSON.

import { loadContainer, stateOf } from "../../../container/state.ts";
import { type Command, print } from "../command.ts";

export const state: Command = {
  name: "state",
  arguments: "<container-id>",
  summary: "output the state of a container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    const { annotations, ...rest } = stateOf(loadContainer(root, id!));
    const { owner, ...front } = rest;
    const some = Object.keys(annotations).length > 0;
    print(JSON.stringify(some ? { ...front, annotations, owner } : { ...front, owner }, null, 2));
    return 0;
  },
};
