// What somebody who does not stay asks of the runtime: to create and start a container, to execute in one, to
// delete one. `runc` asks from its command line, the shim from a clone of itself; what they find on disk and say in
// failures is the same.

import { codeOf, Failure, messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { changeDirectory, createFile, F_GETFD, replaceFile, stat, workingDirectory } from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { openPidfd, pause, waitChild } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { connectUnix, sendDescriptor } from "../linux/socket.ts";
import { createContainer } from "./create.ts";
import { execInContainer } from "./exec.ts";
import { failpoint } from "./failpoints.ts";
import { pathsOf } from "./layout.ts";
import { openDirectory } from "./lock.ts";
import { type Plan, planContainer } from "./plan.ts";
import { Readiness } from "./readiness.ts";
import { killContainer, removeBroken, removeContainer } from "./remove.ts";
import { rootlessOf } from "./rootless.ts";
import { requireSealed } from "./seal.ts";
import type { ProcessSpec } from "./spec/schema.ts";
import { startContainer } from "./start.ts";
import { type Container, isAlive, loadContainer, statusOf } from "./state.ts";

/** Who asks, and what holds for all that is asked. */
export interface Caller {
  /** Where the containers' records are. */
  root: string;
  /** "true", "false" or "auto". */
  rootless: string;
  /** systemd keeps the cgroups of what is created. */
  systemd: boolean;
  /** Of the environment; null when it is not set. */
  variable(name: string): string | null;
  warn(message: string): void;
  /** Null when nobody reads it. */
  debug: ((message: string) => void) | null;
}

/** Absolute paths, "" for none; the bundle "" is the working directory. */
export interface BundleRequest {
  id: string;
  bundle: string;
  noPivot: boolean;
  noNewKeyring: boolean;
  /** How many descriptors from 3 on the container is given. */
  preserve: number;
  /** Socket that takes the terminal's master. */
  console: string;
  /** Socket that takes a pidfd. */
  pidfd: string;
  pidFile: string;
}

/** Until the process ends: its thousands of objects would else be taken apart one by one right before that. */
const KEPT: Plan[] = [];

/** Makes the bundle the working directory. */
export function planFrom(request: BundleRequest, caller: Caller): Plan {
  if (request.bundle !== "") changeDirectory(request.bundle);
  const extra = extraDescriptors(request.preserve, caller);
  const plan = planContainer({
    id: request.id,
    bundle: workingDirectory(),
    paths: pathsOf(caller.root, request.id),
    rootless: rootlessOf(caller.rootless, caller.variable("PATH") ?? ""),
    noPivot: request.noPivot,
    noNewKeyring: request.noNewKeyring,
    systemd: caller.systemd,
    readiness: (caller.variable("NOTIFY_SOCKET") ?? "") !== "",
    ...extra,
  });
  KEPT.push(plan);
  for (const warning of plan.warnings) caller.warn(warning);
  if (plan.filter !== null) caller.debug?.(`seccomp filter flags: ${plan.filter.flags}`);
  return plan;
}

const FIRST_EXTRA = 3;

export function extraDescriptors(preserve: number, { variable }: Caller) {
  const listeners = variable("LISTEN_FDS") ?? "";
  const listening = listeners !== "" && /^\d+$/.test(listeners) ? Number(listeners) : 0;
  const count = listening + preserve;
  // What we opened ourselves (the log) closes on exec; what the caller left us came through one and does not.
  for (let fd = FIRST_EXTRA; fd < FIRST_EXTRA + count; fd++) {
    if (door().syscall(nr.SYS_fcntl, fd, F_GETFD, 0) !== 0) {
      throw new Failure(
        "invalid_argument",
        `unable to use preserved descriptor: please check that preserved-fd ${fd} exists`,
      );
    }
  }
  const extraEnvironment = listening > 0 ? [`LISTEN_FDS=${listening}`, "LISTEN_PID=1"] : [];
  const names = listening > 0 ? variable("LISTEN_FDNAMES") : null;
  if (names !== null) extraEnvironment.push(`LISTEN_FDNAMES=${names}`);
  return { extraDescriptors: count, extraEnvironment };
}

/** The container waits for its start. */
export function createDetached(request: BundleRequest, caller: Caller): void {
  prefixed("runc create failed: ", () => {
    requireSealed();
    const plan = planFrom(request, caller);
    const { terminal } = plan.process.spec;
    if (terminal && request.console === "") {
      throw new Failure("invalid_argument", "cannot allocate tty if runc will detach without setting console socket");
    }
    if (!terminal && request.console !== "") {
      throw new Failure("invalid_argument", "cannot use console socket if runc will not detach or allocate tty");
    }
    using console = terminal ? connectUnix(request.console) : null;
    const { warn, debug } = caller;
    const created = starting(() =>
      createContainer({ plan, fifo: true, console: console?.number ?? null, warn, debug }),
    );
    try {
      tell(created.pid, request);
      failpoint("create.returning");
      created.release();
    } catch (thrown) {
      const container = { paths: plan.paths, record: created.record };
      killContainer(container);
      removeContainer(container, { warn, directory: null, force: false });
      throw thrown;
    }
  });
}

export interface ExecRequest {
  container: Container;
  process: ProcessSpec;
  ignorePaused: boolean;
  /** See container/exec.ts. */
  subgroups: ReadonlyMap<string, string> | null;
  /** A connected socket that takes the terminal's master; null without a terminal. */
  console: number | null;
  preserve: number;
  pidfd: string;
  pidFile: string;
}

/** The pid of the process, whose program runs by then. `made` is called when it is there and waits for its program. */
export function execute(request: ExecRequest, caller: Caller, made: (pid: number) => void): number {
  const { container, process, ignorePaused, subgroups, console } = request;
  const { warn, debug } = caller;
  const executed = prefixedExec(() =>
    execInContainer({
      ...{ container, process, ignorePaused, subgroups, console, warn, debug },
      ...extraDescriptors(request.preserve, caller),
    }),
  );
  try {
    made(executed.pid);
    tell(executed.pid, request);
    executed.release();
    const failed = executed.outcome();
    if (failed !== null) throw new Failure("failed_precondition", `unable to start container process: ${failed}`);
    return executed.pid;
  } catch (thrown) {
    kill(executed.pid, SIGKILL);
    waitChild(executed.pid);
    throw thrown;
  }
}

function prefixedExec<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    if (messageOf(thrown).startsWith("cannot exec in a")) throw thrown;
    return starting(() => {
      throw thrown;
    });
  }
}

/** Whoever waits for the pid file reads the pid at once: it comes whole or not at all. */
export function tell(pid: number, { pidFile, pidfd }: { pidFile: string; pidfd: string }): void {
  if (pidFile !== "" && !createFile(pidFile, String(pid), 0o644)) replaceFile(pidFile, String(pid), 0o644);
  if (pidfd === "") return;
  using socket = connectUnix(pidfd);
  using descriptor = openPidfd(pid);
  sendDescriptor(socket.number, descriptor.number, `${pid}`);
}

const ALONE = ["container with given ID already exists", "invalid container ID format"];

/** The words that upper layers look for around what went wrong with the process. */
export function starting<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    const message = messageOf(thrown);
    if (ALONE.includes(message) || message.startsWith("namespace path:")) {
      const prefix = message.startsWith("namespace path:") ? "unable to create new parent process: " : "";
      throw new Failure("failed_precondition", `${prefix}${message}`, { cause: thrown });
    }
    throw new Failure("failed_precondition", `unable to start container process: ${message}`, { cause: thrown });
  }
}

export function prefixed<Result>(prefix: string, work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    throw new Failure("unknown", `${prefix}${messageOf(thrown)}`, { cause: thrown });
  }
}

/** Lets the program of a created container run; a notified container also until it says that it is ready. */
export function startDetached(id: string, { root, variable }: Pick<Caller, "root" | "variable">): void {
  const container = loadContainer(root, id);
  const host = variable("NOTIFY_SOCKET") ?? "";
  if (host === "" || statusOf(container) !== "created") {
    startContainer(container);
    return;
  }
  using readiness = new Readiness(container.paths, host);
  startContainer(container);
  readiness.wait(container.record.init_process_pid, () => isAlive(container.record));
}

/** Asked once, before anything is done for a caller who wants it. */
export function checkSystemd({ systemd }: Pick<Caller, "systemd">): void {
  if (!systemd || stat("/run/systemd/system") !== null) return;
  throw new Failure(
    "failed_precondition",
    "systemd cgroup flag passed, but systemd support for managing cgroups is not available",
  );
}

/** A process that was just killed may not be gone yet; looked at again after this many milliseconds. */
const DYING_WAIT = 10;
const DYING_ROUNDS = 10;

/** With `force` one that runs is killed first, one that is not there is no error, and what a damaged record does not
 *  tell is cleaned, too. */
export function deleteContainer(id: string, force: boolean, caller: Pick<Caller, "root" | "warn">): void {
  const paths = pathsOf(caller.root, id);
  // Before the record is read, so that the lock is on the directory that the record came from.
  using directory = openDirectory(paths.directory);
  let container: Container;
  try {
    container = loadContainer(caller.root, id);
  } catch (thrown) {
    // Without force a damaged record is left for somebody to look at, as the original does.
    if (force || codeOf(thrown) === "not_found") removeBroken(paths, force);
    if (force) return;
    throw thrown;
  }
  let status = statusOf(container);
  for (let round = 0; status === "running" && !force && round < DYING_ROUNDS; round++) {
    pause(DYING_WAIT);
    status = statusOf(container);
  }
  if (status !== "stopped" && status !== "created" && !force) {
    throw new Failure("failed_precondition", `cannot delete container ${id} that is not stopped: ${status}`);
  }
  if (status !== "stopped") killContainer(container);
  if (!removeContainer(container, { warn: caller.warn, directory, force }) && !force) {
    throw new Failure("not_found", "container does not exist");
  }
}
