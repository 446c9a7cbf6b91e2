// `runc pause` and `runc resume`.

import { pauseContainer, resumeContainer } from "../../../container/pause.ts";
import { loadContainer } from "../../../container/state.ts";
import type { Command } from "../command.ts";

export const pauseCommand: Command = {
  name: "pause",
  arguments: "<container-id>",
  summary: "pause suspends all processes inside the container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    pauseContainer(loadContainer(root, id!));
    return 0;
  },
};

export const resume: Command = {
  name: "resume",
  arguments: "<container-id>",
  summary: "resumes all processes that have been previously paused",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    resumeContainer(loadContainer(root, id!));
    return 0;
  },
};
