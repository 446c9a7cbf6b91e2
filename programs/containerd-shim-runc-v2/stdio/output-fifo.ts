// The pipe between a process and the shim: a FIFO with a name in the bundle. The process holds it for reading and
// writing, so it always has a reader: when the shim is killed the process gets no SIGPIPE and what it wrote is kept; it
// waits when the pipe is full. The shim only reads, and sees the end when the last process is gone.
//
//     process ──O_RDWR──▶ <bundle>/stdout.fifo ──O_RDONLY──▶ shim ─ ─ killed ─ ─▶ the next shim opens it by its name

import { outputFifo } from "../../../api/task/extensions.ts";
import * as fd from "../../../linux/fd.ts";

export type OutputName = "stdout" | "stderr";

function pathOf(place: string, stream: OutputName): string {
  return `${place}${outputFifo(stream)}`;
}

/** Both owned. `write` becomes the process's descriptor. */
export function makeOutputFifo(place: string, stream: OutputName): { read: fd.Fd; write: fd.Fd } {
  const path = pathOf(place, stream);
  fd.unlinkIfThere(path);
  fd.makeFifo(path, 0o600);
  const read = fd.open(path, fd.O_RDONLY | fd.O_NONBLOCK);
  try {
    return { read, write: fd.open(path, fd.O_RDWR) };
  } catch (thrown) {
    read.close();
    throw thrown;
  }
}

/** For the shim that takes over; null when there is none. */
export function openOutputFifo(place: string, stream: OutputName): fd.Fd | null {
  const path = pathOf(place, stream);
  const source = fd.openIfThere(path, fd.O_RDONLY | fd.O_NONBLOCK);
  if (source === null) return null;
  // If nobody has it open any more it would never tell its end: epoll reports EPOLLHUP after a writer was there only.
  fd.open(path, fd.O_WRONLY | fd.O_NONBLOCK).close();
  return source;
}

export function removeOutputFifos(place: string): void {
  for (const stream of ["stdout", "stderr"] as const) fd.unlinkIfThere(pathOf(place, stream));
}
