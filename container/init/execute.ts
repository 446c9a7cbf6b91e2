// The last stages, shared by a container's first process and by `exec`: identity, filter, execve.
//
//     prepare ─▶ (parent: limits, record) ─▶ wait for start ─▶ filter ─▶ execve
//
// After the filter is loaded only capset and execve follow (and write, when execve fails): old calls that every profile
// knows. A profile written before statx must still let us pass.

import { Failure } from "../../base/errors.ts";
import * as who from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { EPIPE, errnoSentence, must, retrying } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import { execve, exit, setParentDeathSignal } from "../../linux/process.ts";
import { loadFilter } from "../../linux/seccomp.ts";
import { endOn, resetSignals, SIGHUP, SIGINT, SIGTERM } from "../../linux/signal.ts";
import { awaitGoPlainly, sayPlainly } from "../messages.ts";
import type { ProcessPlan } from "../plan.ts";
import { becomeUser, dropHeld, type Identity } from "./identity.ts";
import { setLabels } from "./labels.ts";
import { setPriorities } from "./priority.ts";
import { environmentOf, findProgram } from "./program.ts";

/** The exit code when the program cannot be executed after all. */
const EXIT_NOT_EXECUTED = 255;
/** The first descriptor after the standard ones. */
export const FIRST_EXTRA = 3;

export interface Prepared {
  process: ProcessPlan;
  path: string;
  env: string[];
  identity: Identity;
}

/** `proc`: a procfs of our own, asked for only when a label must be written. */
export function prepare(process: ProcessPlan, proc: () => number, warn: (message: string) => void): Prepared {
  setLabels(process.spec, proc);
  setPriorities(process);
  setLimits(process);
  const identity = becomeUser(process, warn);
  if (process.spec.noNewPrivileges) who.setNoNewPrivileges();
  const env = environmentOf(process);
  const path = findProgram(process.spec.args[0]!, env);
  // From here on the end of the dialogue says that the maker is gone: it may end once it has said go.
  setParentDeathSignal(0);
  return { process, path, env, identity };
}

/** By the process itself, while it is still root: another one would need CAP_SYS_RESOURCE. Inside a new user namespace
 *  the parent does it, because there that capability counts for nothing. */
function setLimits(process: ProcessPlan): void {
  if (process.limitsByParent) return;
  for (const limit of process.limits) {
    const result = who.trySetLimit(0, limit);
    if (result < 0) throw limitFailure(limit.resource, result);
  }
}

export function limitFailure(resource: number, result: number): Failure {
  const reason = `error setting rlimits for ready process: error setting rlimit type ${resource}`;
  return new Failure("failed_precondition", `error during container init: ${reason}: ${errnoSentence(-result)}`);
}

/** Blocks until `start` opens exec.fifo for reading, and tells it. The descriptor is O_PATH, so it is opened again
 *  through our own procfs: the one way to wait for a reader. One that is killed before it was told has started nothing,
 *  and another one may come. */
export function awaitStart(fifo: number, proc: number): void {
  // A container that was never started can be told to end; its own program's signals are no concern yet.
  endOn([SIGHUP, SIGINT, SIGTERM]);
  let told: number;
  do {
    const opened = door().syscall(nr.SYS_openat, proc, `self/fd/${fifo}`, fs.O_WRONLY | fs.O_CLOEXEC, 0);
    using writer = new fs.Fd(must("open", "exec fifo", opened));
    told = retrying(nr.SYS_write, writer.number, Uint8Array.of(0x30), 1);
  } while (told === -EPIPE);
  must("write", "exec fifo", told);
}

/** A filter that asks a listener is loaded while the parent still listens: it takes the notification descriptor out of
 *  this process and sends it on. Until it has, nothing but write and read is called, so that even a filter that leaves
 *  everything else to the listener comes this far. Others are loaded last, by `execute`. */
export function loadListening({ filter }: ProcessPlan, dialogue: number): void {
  if (filter === null || filter.listener === null) return;
  const descriptor = loadFilter(filter.program, filter.flags);
  sayPlainly(dialogue, { kind: "listener", descriptor });
  awaitGoPlainly(dialogue);
  // Kept open here, calls would wait for ever once the listener is gone.
  fs.close(descriptor);
}

/** The filter, and then the capability that loading it took. */
export function confine({ process: { filter }, identity }: Pick<Prepared, "process" | "identity">): void {
  if (filter !== null && filter.listener === null) loadFilter(filter.program, filter.flags);
  if (identity.holdsAdmin) dropHeld(identity);
}

/** Never returns. `failed` is told why when the kernel refuses the program. */
export function execute({ process, path, env, identity }: Prepared, failed: (message: string) => void): never {
  const { extraDescriptors, spec } = process;
  who.closeOnExecFrom(FIRST_EXTRA + extraDescriptors);
  resetSignals();
  confine({ process, identity });
  failed(`exec ${path}: ${errnoSentence(execve(path, spec.args, env))}`);
  exit(EXIT_NOT_EXECUTED);
}
