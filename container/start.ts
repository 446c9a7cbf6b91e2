// Starting what create left waiting, and its poststart hooks.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EAGAIN, ENOENT, errnoOf, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { pause } from "../linux/process.ts";
import { failpoint } from "./failpoints.ts";
import { runHooks } from "./hooks.ts";
import { keptHooks } from "./record.ts";
import { killContainer } from "./remove.ts";
import { type Container, INIT_NAME, lifeOf, stateOf, statusOf } from "./state.ts";

/** How often a silent fifo is taken as a reason to look whether the process still waits, in milliseconds. */
const LOOK_EACH = 100;
const DYING_WAIT = 10;
const POLLIN = 1;
const POLLHUP = 16;
const RUNNING = "cannot start an already running container";

export function startContainer(container: Container): void {
  const { paths, record } = container;
  const status = statusOf(container);
  if (status === "stopped") throw new Failure("failed_precondition", "cannot start a container that has stopped");
  if (status !== "created") {
    // A start that was killed may have left it.
    fs.unlinkIfThere(paths.fifo);
    throw new Failure("failed_precondition", RUNNING);
  }
  readFifo(container);
  failpoint("start.read");
  fs.unlinkIfThere(paths.fifo);
  failpoint("start.unlinked");
  const hooks = keptHooks(record, "poststart");
  if (hooks.length === 0) return;
  const state = { ...stateOf(container), status: "running" };
  try {
    runHooks({ kind: "poststart", hooks, environment: door().env, state });
  } catch (thrown) {
    // What was to follow the start did not, so the start has failed.
    killContainer(container);
    throw thrown;
  }
}

/** Opening it for reading lets the waiting process open it for writing; one byte says that it goes on. The open does
 *  not block, so a process that dies meanwhile is noticed, and so is another `start` that came first. */
function readFifo({ paths, record }: Container): void {
  using fifo = openFifo(paths.fifo);
  failpoint("start.opened");
  const byte = new Uint8Array(1);
  for (;;) {
    // struct pollfd: int fd, short events, short revents
    const poll = Int32Array.of(fifo.number, POLLIN);
    door().syscall(nr.SYS_poll, poll, 1, LOOK_EACH);
    const got = door().syscall(nr.SYS_read, fifo.number, byte, 1);
    if (got === 1) return;
    // 0: nobody has it open for writing (yet, or any more).
    if (got !== 0 && got !== -EAGAIN) must("read", "exec fifo", got);
    const hungUp = (poll[1]! >> 16) & POLLHUP;
    // One that dies closes its descriptors some moments before it is seen to be dead.
    if (hungUp) pause(DYING_WAIT);
    const life = lifeOf(record);
    if (life === null) throw new Failure("failed_precondition", "container process is already dead");
    if (life.name !== INIT_NAME || hungUp) throw new Failure("failed_precondition", RUNNING);
  }
}

function openFifo(path: string): fs.Fd {
  try {
    return fs.open(path, fs.O_RDONLY | fs.O_NONBLOCK);
  } catch (thrown) {
    if (errnoOf(thrown) !== ENOENT) throw thrown;
    throw new Failure("failed_precondition", RUNNING, { cause: thrown });
  }
}
