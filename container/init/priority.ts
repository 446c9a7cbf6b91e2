// Scheduling of the program: policy (sched_setattr), io priority. From process.scheduler and process.ioPriority.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as nr from "../../linux/numbers.ts";
import type { ProcessSpec } from "../spec/schema.ts";

const POLICIES: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};

const FLAGS: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 16,
  SCHED_FLAG_UTIL_CLAMP_MIN: 32,
  SCHED_FLAG_UTIL_CLAMP_MAX: 64,
};

/** More than any kernel is built for. */
const PROCESSORS = 8192;

const IO_CLASSES: Readonly<Record<string, number>> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };

export function setPriorities({ scheduler, ioPriority, execCPUAffinity }: ProcessSpec): void {
  const processors = execCPUAffinity?.final || execCPUAffinity?.initial || "";
  if (processors !== "") setAffinity(processors);
  if (scheduler !== null) {
    const policy = POLICIES[scheduler.policy];
    if (policy === undefined) throw new Failure("invalid_argument", `invalid scheduler policy: ${scheduler.policy}`);
    // struct sched_attr: u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period
    const view = new DataView(new ArrayBuffer(48));
    view.setUint32(0, 48, true);
    view.setUint32(4, policy, true);
    view.setBigUint64(8, BigInt(scheduler.flags.reduce((sum, name) => sum + flagOf(name), 0)), true);
    view.setInt32(16, scheduler.nice, true);
    view.setUint32(20, scheduler.priority, true);
    view.setBigUint64(24, scheduler.runtime, true);
    view.setBigUint64(32, scheduler.deadline, true);
    view.setBigUint64(40, scheduler.period, true);
    const attributes = new Uint8Array(view.buffer);
    must("sched_setattr", scheduler.policy, door().syscall(nr.SYS_sched_setattr, 0, attributes, 0));
  }
  if (ioPriority !== null) {
    const kind = IO_CLASSES[ioPriority.class];
    if (kind === undefined) throw new Failure("invalid_argument", `invalid ioPriority class: ${ioPriority.class}`);
    const WHO_PROCESS = 1;
    const value = kind * 0x2000 + ioPriority.priority;
    must("ioprio_set", ioPriority.class, door().syscall(nr.SYS_ioprio_set, WHO_PROCESS, 0, value));
  }
}

/** "0-3,7": the processors it may run on. */
function setAffinity(text: string): void {
  const mask = new Uint8Array(PROCESSORS / 8);
  for (const part of text.split(",")) {
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    if (from === undefined || Number(to ?? from) >= PROCESSORS || Number(to ?? from) < Number(from)) {
      throw new Failure("invalid_argument", `invalid CPU affinity: ${text}`);
    }
    for (let at = Number(from); at <= Number(to ?? from); at++) mask[at >> 3]! |= 1 << (at & 7);
  }
  must("sched_setaffinity", text, door().syscall(nr.SYS_sched_setaffinity, 0, mask.length, mask));
}

function flagOf(name: string): number {
  const flag = FLAGS[name];
  if (flag === undefined) throw new Failure("invalid_argument", `invalid scheduler flag: ${name}`);
  return flag;
}
