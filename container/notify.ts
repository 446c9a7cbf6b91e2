// The parent's part of seccomp notification: takes the notification descriptor out of a process that has just loaded
// its filter and sends it, with what the process is, to the listener that config.json names.

import { Failure, messageOf } from "../base/errors.ts";
import { formatJson } from "../base/json.ts";
import { door } from "../linux/door.ts";
import { errnoOf, errnoSentence, must } from "../linux/errno.ts";
import { Fd } from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { openPidfd } from "../linux/process.ts";
import { connectUnix, sendDescriptor } from "../linux/socket.ts";
import { type HookState, stateDocument } from "./hooks.ts";
import { type ChildMessage, hear, say } from "./messages.ts";
import type { Listener } from "./seccomp.ts";
import { SPEC_VERSION } from "./version.ts";

export interface Handover {
  dialogue: number;
  /** Of the process with the filter; `state` is its container's. */
  pid: number;
  listener: Listener;
  state: HookState;
}

/** After "ready". The last go, which lets the process on, is still to be said. */
export function handOverListener({ dialogue, pid, listener, state }: Handover): void {
  say(dialogue, { kind: "go" });
  const message = hear<ChildMessage>(dialogue);
  if (message?.kind === "failed") throw new Failure("failed_precondition", message.message);
  if (message?.kind !== "listener") throw new Failure("internal", "the process died while it loaded its filter");
  using notifications = takeDescriptor(pid, message.descriptor);
  using socket = connect(listener.path);
  // ContainerProcessState of the runtime-spec.
  const container = { metadata: listener.metadata, state: stateDocument(state) };
  const told = { ociVersion: SPEC_VERSION, fds: ["seccompFd"], pid, ...container };
  try {
    sendDescriptor(socket.number, notifications.number, formatJson(told));
  } catch (thrown) {
    const reason = `cannot send seccomp fd to ${listener.path}: ${messageOf(thrown)}`;
    throw new Failure("unavailable", reason, { cause: thrown });
  }
}

function takeDescriptor(pid: number, descriptor: number): Fd {
  using pidfd = openPidfd(pid);
  return new Fd(must("pidfd_getfd", `${pid}`, door().syscall(nr.SYS_pidfd_getfd, pidfd.number, descriptor, 0)));
}

function connect(path: string): Fd {
  try {
    return connectUnix(path);
  } catch (thrown) {
    throw new Failure(
      "unavailable",
      `failed to connect with seccomp agent specified in the seccomp profile: dial unix ${path}: ` +
        `connect: ${errnoSentence(errnoOf(thrown))}`,
      { cause: thrown },
    );
  }
}
