// A published port's socket and what carries it into the container, for either protocol.

import type { Fd } from "../../linux/fd.ts";
import type { Endpoint } from "../../linux/inet.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { type CopyBuffer, TcpForwarder } from "./tcp.ts";
import { UdpForwarder } from "./udp.ts";

export interface ForwardedPort {
  protocol: "tcp" | "udp";
  /** Bound and, for tcp, listening; owned by the forwarder from here on. */
  socket: Fd;
  backend: Endpoint;
}

/** Forwards until disposed. */
export function forward(loop: Loop, port: ForwardedPort, buffer: CopyBuffer): Disposable {
  if (port.protocol === "udp") return new UdpForwarder(loop, { socket: port.socket, backend: port.backend });
  return new TcpForwarder(loop, { listener: port.socket, backend: port.backend, buffer });
}
