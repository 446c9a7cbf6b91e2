// Starting what create left waiting, and its poststart hooks.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EAGAIN, ENXIO, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { runHooks } from "./hooks.ts";
import { type Container, isAlive, stateOf, statusOf } from "./state.ts";

/** How often a silent fifo is taken as a reason to look whether the process still lives, in milliseconds. */
const LOOK_EACH = 100;

export function startContainer(container: Container): void {
  const { paths, record } = container;
  const status = statusOf(container);
  if (status === "stopped") throw new Failure("failed_precondition", "cannot start a container that has stopped");
  if (status !== "created") throw new Failure("failed_precondition", "cannot start an already running container");
  readFifo(container);
  fs.unlinkIfThere(paths.fifo);
  const hooks = record.config.Hooks?.poststart ?? [];
  if (hooks.length === 0) return;
  const state = { ...stateOf(container), status: "running" };
  runHooks({ kind: "poststart", hooks, environment: door().env, state });
}

/** Opening it for reading lets the waiting process open it for writing; one byte says that it goes on. The open does
 *  not block, so a process that dies meanwhile is noticed. */
function readFifo({ paths, record }: Container): void {
  using fifo = fs.open(paths.fifo, fs.O_RDONLY | fs.O_NONBLOCK);
  const byte = new Uint8Array(1);
  for (;;) {
    const poll = Int32Array.of(fifo.number, 1);
    door().syscall(nr.SYS_poll, poll, 1, LOOK_EACH);
    const got = door().syscall(nr.SYS_read, fifo.number, byte, 1);
    if (got === 1) return;
    // 0: nobody has it open for writing (yet, or any more).
    if (got !== 0 && got !== -EAGAIN && got !== -ENXIO) must("read", "exec fifo", got);
    if (!isAlive(record)) throw new Failure("failed_precondition", "container process is already dead");
  }
}
