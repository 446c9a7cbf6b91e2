// FIFOs between a client and the shim of its process, on the client's side. Opening one here never waits.

import { constants, openSync } from "node:fs";
import { Socket } from "node:net";

/** Opened before the writer comes: there is no end before the first writer left. */
export function openFifoReader(path: string): Socket {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false, allowHalfOpen: true });
}

/** Fails with ENXIO while nobody reads. */
export function openFifoWriter(path: string): Socket {
  return writer(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
}

/** Opened for both ways, so that what is written before the shim opens its end is kept instead of refused. */
export function openFifoEarly(path: string): Socket {
  return writer(holdFifo(path));
}

/** Only to be there: neither reads nor writes. The descriptor is the caller's. */
export function holdFifo(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

function writer(fd: number): Socket {
  // Half open: that nothing can be read is no end of writing.
  return new Socket({ fd, readable: false, writable: true, allowHalfOpen: true });
}
