// Notices when the kernel killed for want of memory in a container, and when the container has ended. v1 writes to an
// eventfd that was registered with the cgroup; on v2 the cgroup's files of events change, which inotify sees.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { table } from "./cgroups/counters.ts";
import { directoryOf } from "./cgroups/limits.ts";
import { type Cgroups, writeControl } from "./cgroups/manager.ts";

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
const IN_MODIFY = 2;
const EVENTS_LIMIT = 4096;

export interface OomWatch extends Disposable {
  /** Readable when there may be news. */
  readonly descriptor: number;
  /** Kills since the last look, one by one where the kernel says; "ended" when the cgroup has gone or is empty. */
  look(): number | "ended";
}

export function watchOom(cgroups: Cgroups): OomWatch {
  if (cgroups.unified) return watchUnified(cgroups.paths[""]!);
  const directory = directoryOf(cgroups, "memory");
  if (directory === null) throw new Failure("failed_precondition", "memory controller missing");
  return watchLegacy(directory);
}

function watchLegacy(directory: string): OomWatch {
  const event = new fs.Fd(must("eventfd", "", door().syscall(nr.SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK)));
  const control = fs.open(`${directory}/memory.oom_control`, fs.O_RDONLY);
  const place = `${directory}/cgroup.event_control`;
  writeControl(place, `${event.number} ${control.number}`);
  return {
    descriptor: event.number,
    look() {
      const counted = new Uint8Array(8);
      const got = fs.read(event.number, counted);
      // The end of a cgroup is written to the eventfd, too.
      if (fs.stat(place) === null) return "ended";
      return got === null ? 0 : Number(new DataView(counted.buffer).getBigUint64(0, true));
    },
    [Symbol.dispose]() {
      event.close();
      control.close();
    },
  };
}

function watchUnified(directory: string): OomWatch {
  const changes = new fs.Fd(must("inotify_init", "", door().syscall(nr.SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK)));
  for (const name of ["memory.events", "cgroup.events"]) {
    const path = `${directory}/${name}`;
    must("inotify_add_watch", path, door().syscall(nr.SYS_inotify_add_watch, changes.number, path, IN_MODIFY));
  }
  const killed = () => Number(table(fs.readTextIfThere(`${directory}/memory.events`))["oom_kill"] ?? 0n);
  let before = killed();
  return {
    descriptor: changes.number,
    look() {
      fs.read(changes.number, new Uint8Array(EVENTS_LIMIT));
      const now = killed();
      const more = Math.max(0, now - before);
      before = Math.max(now, before);
      if (more > 0) return more;
      // No event says that a v2 cgroup was removed, so its last process's end counts.
      return table(fs.readTextIfThere(`${directory}/cgroup.events`))["populated"] === 1n ? 0 : "ended";
    },
    [Symbol.dispose]: () => changes.close(),
  };
}
