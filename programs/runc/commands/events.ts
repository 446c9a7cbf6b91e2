// `runc events`: what a container uses, once or again and again, one JSON object per line.

import { Failure } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import { readStats } from "../../../container/cgroups/stats.ts";
import { loadContainer, statusOf } from "../../../container/state.ts";
import { cgroupsOfRecord } from "../../../container/update.ts";
import { pause } from "../../../linux/process.ts";
import { type Command, print } from "../command.ts";

const DEFAULT_INTERVAL = 5e9;
const NANOSECONDS_PER_MILLISECOND = 1e6;

export const events: Command = {
  name: "events",
  arguments: "<container-id>",
  summary: "display container events such as cpu, memory, and IO usage statistics",
  run(line, { root }) {
    const interval = line.flags.duration("interval", "", "set the stats collection interval", DEFAULT_INTERVAL);
    const once = line.flags.bool("stats", "", "display the container's stats then exit");
    const [id] = line.parse(1, 1);
    if (interval.value <= 0) throw new Failure("invalid_argument", "duration interval must be greater than 0");
    const container = loadContainer(root, id!);
    if (statusOf(container) === "stopped") {
      throw new Failure("failed_precondition", `container with id ${id} is not running`);
    }
    do {
      const data = readStats(cgroupsOfRecord(container.record));
      print(`${formatJson({ type: "stats", id, data })}\n`);
      if (once.value) return 0;
      pause(interval.value / NANOSECONDS_PER_MILLISECOND);
    } while (statusOf(container) !== "stopped");
    return 0;
  },
};
