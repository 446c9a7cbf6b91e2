// Starting another program with any descriptors as its standard ones: the runtime, a logger, the publish command.
// Its end is told by the reaper; it dies with the shim, so that a killed shim leaves no half-done runtime call running.

import { door } from "../../../linux/door.ts";
import { must, SyscallFailure } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_fcntl } from "../../../linux/numbers.ts";
import { clone, execve, exit, setParentDeathSignal, waitChild } from "../../../linux/process.ts";
import { restoreFileLimit } from "../../../linux/resource.ts";
import { resetSignals, SIGKILL } from "../../../linux/signal.ts";

const F_DUPFD_CLOEXEC = 1030;
/** Above every number that a started program is given. */
const SAFE_DESCRIPTOR = 64;

export interface Program {
  path: string;
  /** Without the name itself, which is `path`. */
  args: readonly string[];
  env: readonly string[];
  /** Borrowed descriptors that become 0, 1, 2 ...; null is /dev/null. */
  descriptors: readonly (number | null)[];
  /** Whether it is killed when the shim ends. */
  tied: boolean;
}

/** The child's pid. Throws SyscallFailure "exec" when the program cannot be executed. */
export function startProgram(program: Program): number {
  using reading = fd.open("/dev/null", fd.O_RDWR);
  const ends = fd.pipe();
  using failure = ends.read;
  const child = clone({ flags: 0n, cgroup: null, pidfd: false });
  if (child.pid === 0) become(program, reading.number, ends.write);
  ends.write.close();
  const reason = fd.readAll(failure.number, 16);
  if (reason.length > 0) {
    waitChild(child.pid);
    throw new SyscallFailure("exec", reason[0]!, program.path);
  }
  return child.pid;
}

/** In the child. Descriptors move above all targets first, because a target may be another one's source. */
function become(program: Program, nothing: number, failure: fd.Fd): never {
  let errno = 0;
  let report = failure.number;
  try {
    if (program.tied) setParentDeathSignal(SIGKILL);
    report = duplicateAbove(report);
    const moved = program.descriptors.map((source) => duplicateAbove(source ?? nothing));
    moved.forEach((source, target) => {
      fd.duplicateTo(source, target);
    });
    resetSignals();
    restoreFileLimit();
    errno = execve(program.path, [program.path, ...program.args], program.env);
  } catch (thrown) {
    errno = thrown instanceof SyscallFailure ? thrown.errno : 5;
  }
  fd.write(report, Uint8Array.of(errno));
  exit(127);
}

function duplicateAbove(source: number): number {
  return must("fcntl", `fd ${source}`, door().syscall(SYS_fcntl, source, F_DUPFD_CLOEXEC, SAFE_DESCRIPTOR));
}
