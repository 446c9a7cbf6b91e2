// `runc events`: what a container uses, once or again and again, and each time the kernel killed in it for want of
// memory; one JSON object per line. Ends with the container.

import { Failure, messageOf } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import { readStats } from "../../../container/cgroups/stats.ts";
import { watchOom } from "../../../container/oom.ts";
import { resctrlStats } from "../../../container/resctrl-stats.ts";
import { type Container, loadContainer, statusOf } from "../../../container/state.ts";
import { cgroupsOfRecord } from "../../../container/update.ts";
import { monotonicMilliseconds } from "../../../linux/clock.ts";
import { door } from "../../../linux/door.ts";
import * as nr from "../../../linux/numbers.ts";
import { type Command, print } from "../command.ts";
import type { Log } from "../log.ts";

const DEFAULT_INTERVAL = 5e9;
const NANOSECONDS_PER_MILLISECOND = 1e6;
const POLLIN = 1;

export const events: Command = {
  name: "events",
  arguments: "<container-id>",
  summary: "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
  run(line, { root, log }) {
    const interval = line.flags.duration("interval", "", "set the stats collection interval", DEFAULT_INTERVAL);
    const once = line.flags.bool("stats", "", "display the container's stats then exit");
    const [id] = line.parse(1, 1);
    const container = loadContainer(root, id!);
    if (interval.value <= 0) throw new Failure("invalid_argument", "duration interval must be greater than 0");
    if (statusOf(container) === "stopped") {
      throw new Failure("failed_precondition", `container with id ${id} is not running`);
    }
    if (once.value) tellStats(container);
    else follow(container, Math.max(1, interval.value / NANOSECONDS_PER_MILLISECOND), log);
    return 0;
  },
};

function tellStats({ record }: Container): void {
  const { intel_rdt_path: group, config } = record;
  const resctrl = group === "" ? {} : resctrlStats(group, config.resctrl?.monitor ?? null);
  print(`${formatJson({ type: "stats", id: record.id, data: readStats(cgroupsOfRecord(record), resctrl) })}\n`);
}

function follow(container: Container, interval: number, log: Log): void {
  const { record } = container;
  using watch = watchOom(cgroupsOfRecord(record));
  for (let due = monotonicMilliseconds() + interval; ; ) {
    const left = Math.max(0, Math.ceil(due - monotonicMilliseconds()));
    // struct pollfd: int fd, short events, short revents
    door().syscall(nr.SYS_poll, Int32Array.of(watch.descriptor, POLLIN), 1, left);
    const news = watch.look();
    if (news === "ended") return;
    for (let at = 0; at < news; at++) print(`${formatJson({ type: "oom", id: record.id })}\n`);
    if (monotonicMilliseconds() < due) continue;
    due += interval;
    if (statusOf(container) === "stopped") return;
    try {
      tellStats(container);
    } catch (thrown) {
      log.warn(messageOf(thrown));
    }
  }
}
