// `runc pause` and `runc resume`.

import { Failure } from "../../../base/errors.ts";
import { freeze, thaw } from "../../../container/cgroups/freezer.ts";
import { failpoint } from "../../../container/failpoints.ts";
import { loadContainer, statusOf } from "../../../container/state.ts";
import type { Command } from "../command.ts";

export const pauseCommand: Command = {
  name: "pause",
  arguments: "<container-id>",
  summary: "pause suspends all processes inside the container",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    const container = loadContainer(root, id!);
    const status = statusOf(container);
    if (status !== "running" && status !== "created") throw new Failure("failed_precondition", "container not running");
    freeze(container.record.cgroup_paths);
    failpoint("pause.frozen");
    return 0;
  },
};

export const resume: Command = {
  name: "resume",
  arguments: "<container-id>",
  summary: "resumes all processes that have been previously paused",
  run(line, { root }) {
    const [id] = line.parse(1, 1);
    const container = loadContainer(root, id!);
    if (statusOf(container) !== "paused") throw new Failure("failed_precondition", "container not paused");
    thaw(container.record.cgroup_paths);
    failpoint("resume.thawed");
    return 0;
  },
};
