// The client's ends of streams that are paths: FIFOs it made, or files to append to.
//
// The shim holds both ends of an output FIFO (one descriptor opened read-write does), so that a reader may go and come
// back without the process getting SIGPIPE, and the write end of a stdin FIFO, so that a client that goes is no end.

import { Failure } from "../../../base/errors.ts";
import { ENXIO, errnoOf } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import type { QuickJsRuntime } from "../../../runtime/quickjs/runtime.ts";
import { FIFO_OPEN_INTERVAL, FIFO_OPEN_TIMEOUT } from "../limits.ts";
import { parseUri } from "../uri.ts";

/** A FIFO once its reader is there (what is written before would be lost if we were the only ones), or a file. */
export async function openOutput(runtime: QuickJsRuntime, uri: string): Promise<fd.Fd> {
  const { scheme, path } = parseUri(uri);
  if (scheme === "file") return openFile(path);
  if (scheme !== "" && scheme !== "fifo") throw new Failure("unimplemented", `unknown STDIO scheme ${scheme}`);
  const found = fd.stat(path);
  if (found !== null && (found.mode & fd.S_IFMT) !== fd.S_IFIFO) return fd.open(path, fd.O_WRONLY | fd.O_APPEND);
  const deadline = runtime.clock.monotonic() + FIFO_OPEN_TIMEOUT;
  for (;;) {
    const opened = openBothEnds(path);
    if (opened !== null) return opened;
    if (runtime.clock.monotonic() > deadline) throw new Failure("deadline_exceeded", `nobody reads the FIFO ${path}`);
    await runtime.clock.sleep(FIFO_OPEN_INTERVAL);
  }
}

/** For a process whose earlier shim was killed: whoever read then may be gone, and that is no reason to wait. */
export function reopenOutput(uri: string): fd.Fd {
  const { scheme, path } = parseUri(uri);
  if (scheme === "file") return openFile(path);
  const found = fd.stat(path);
  if (found === null) return fd.open("/dev/null", fd.O_WRONLY);
  if ((found.mode & fd.S_IFMT) !== fd.S_IFIFO) return fd.open(path, fd.O_WRONLY | fd.O_APPEND);
  return fd.open(path, fd.O_RDWR | fd.O_NONBLOCK);
}

/** Null while there is no reader. */
function openBothEnds(path: string): fd.Fd | null {
  try {
    using _writer = fd.open(path, fd.O_WRONLY | fd.O_NONBLOCK);
    return fd.open(path, fd.O_RDWR | fd.O_NONBLOCK);
  } catch (thrown) {
    if (errnoOf(thrown) !== ENXIO) throw thrown;
    return null;
  }
}

function openFile(path: string): fd.Fd {
  const slash = path.lastIndexOf("/");
  if (slash > 0) fd.makeDirectories(path.slice(0, slash), 0o755);
  return fd.open(path, fd.O_WRONLY | fd.O_APPEND | fd.O_CREAT, 0o644);
}

/** Opens the reading end first, so that the other one finds a reader. */
export function openStdin(path: string): { source: fd.Fd; hold: fd.Fd } {
  const source = fd.open(path, fd.O_RDONLY | fd.O_NONBLOCK);
  try {
    return { source, hold: fd.open(path, fd.O_WRONLY | fd.O_NONBLOCK) };
  } catch (thrown) {
    source.close();
    throw thrown;
  }
}
