// Scheduling of the program: processors, policy (sched_setattr), io priority, memory nodes. From execCPUAffinity,
// scheduler and ioPriority of `process`, and linux.memoryPolicy.

import { Failure } from "../../base/errors.ts";
import { lookUp } from "../../base/lookup.ts";
import { door } from "../../linux/door.ts";
import { EPERM, errnoSentence, must } from "../../linux/errno.ts";
import * as nr from "../../linux/numbers.ts";
import type { ProcessPlan } from "../plan.ts";
import type { MemoryPolicy } from "../spec/memory.ts";
import { maskOf, parseRanges } from "../spec/ranges.ts";
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

/** Bytes of a mask with more processors than any kernel is built for. */
const WHOLE_MASK = 8192 / 8;

const IO_CLASSES: Readonly<Record<string, number>> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };

export function setPriorities({ spec, memoryPolicy }: ProcessPlan): void {
  const { scheduler, ioPriority, execCPUAffinity } = spec;
  setFinalAffinity(execCPUAffinity);
  if (scheduler !== null) {
    const policy = lookUp(POLICIES, scheduler.policy);
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
    const result = door().syscall(nr.SYS_sched_setattr, 0, attributes, 0);
    if (result < 0) throw new Failure("failed_precondition", schedulerFailure(scheduler.policy, -result));
  }
  if (ioPriority !== null) {
    const kind = lookUp(IO_CLASSES, ioPriority.class);
    if (kind === undefined) throw new Failure("invalid_argument", `invalid ioPriority class: ${ioPriority.class}`);
    const WHO_PROCESS = 1;
    const value = kind * 0x2000 + ioPriority.priority;
    const result = door().syscall(nr.SYS_ioprio_set, WHO_PROCESS, 0, value);
    if (result < 0) throw new Failure("failed_precondition", `failed to set io priority: ${errnoSentence(-result)}`);
  }
  if (memoryPolicy !== null) setMemoryPolicy(memoryPolicy);
}

function setMemoryPolicy({ mode, flags, nodes }: MemoryPolicy): void {
  const mask = nodes.length === 0 ? null : maskOf(nodes);
  // The kernel looks at one bit less than it is told.
  const bits = mask === null ? 0 : mask.length * 8 + 1;
  must("set_mempolicy", "", door().syscall(nr.SYS_set_mempolicy, mode | flags, mask, bits));
}

/** In the container's cgroups, whose own processors bound it. Without a wish of config.json all of those, whatever the
 *  runtime itself was held to; an initial one alone stays as it was inherited. */
function setFinalAffinity(wanted: ProcessSpec["execCPUAffinity"]): void {
  if (wanted === null || (wanted.final === "" && wanted.initial === "")) {
    door().syscall(nr.SYS_sched_setaffinity, 0, WHOLE_MASK, new Uint8Array(WHOLE_MASK).fill(0xff));
  } else if (wanted.final !== "") setAffinity(wanted.final, "final");
}

/** Runs `work` with the processors that a process born in it is to begin with. */
export function withInitialAffinity<Result>(wanted: ProcessSpec["execCPUAffinity"], work: () => Result): Result {
  const initial = wanted?.initial ?? "";
  if (initial === "") return work();
  const before = new Uint8Array(WHOLE_MASK);
  const length = must("sched_getaffinity", "", door().syscall(nr.SYS_sched_getaffinity, 0, before.length, before));
  setAffinity(initial, "initial");
  try {
    return work();
  } finally {
    door().syscall(nr.SYS_sched_setaffinity, 0, length, before);
  }
}

function setAffinity(text: string, which: string): void {
  const mask = maskOf(parseRanges(text));
  const result = door().syscall(nr.SYS_sched_setaffinity, 0, mask.length, mask);
  if (result < 0) {
    throw new Failure("failed_precondition", `error setting ${which} CPU affinity: ${errnoSentence(-result)}`);
  }
}

/** SCHED_DEADLINE is for processes that may run on every processor (sched_setattr(2), EPERM). */
function schedulerFailure(policy: string, errno: number): string {
  const why =
    errno === EPERM && policy === "SCHED_DEADLINE" ? "process scheduler can't be used together with AllowedCPUs: " : "";
  return `error setting scheduler: ${why}${errnoSentence(errno)}`;
}

function flagOf(name: string): number {
  const flag = lookUp(FLAGS, name);
  if (flag === undefined) throw new Failure("invalid_argument", `invalid scheduler flag: ${name}`);
  return flag;
}
