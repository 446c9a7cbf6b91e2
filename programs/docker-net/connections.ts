// The kernel's memory of connections to containers that come and go. A client that goes on sending (udp above all)
// keeps its entry alive, and with it the judgement made at its first packet: towards a container that is gone, or to
// nobody, from before this one came. Such entries are forgotten, a little after the call that made them wrong was
// answered: the kernel walks its whole table for each question, which takes it some ten milliseconds.

import type { ConnectionFilter, ConntrackSocket } from "../../linux/conntrack.ts";
import { IPPROTO_UDP } from "../../linux/nftables-expression.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { parseInet4, toBytes } from "./address.ts";
import type { EndpointRecord } from "./records.ts";

/** Milliseconds until the first question, and between two. */
const DELAY = 5;

export class Connections {
  readonly #loop: Loop;
  readonly #socket: ConntrackSocket;
  readonly #questions: ConnectionFilter[] = [];
  #asking = false;

  constructor(loop: Loop, socket: ConntrackSocket) {
    this.#loop = loop;
    this.#socket = socket;
  }

  /** Those that were judged before its udp ports were mapped. */
  begin(endpoint: EndpointRecord): void {
    for (const port of endpoint.ports) {
      if (port.protocol !== "udp" || port.hostIp.includes(":")) continue;
      this.#ask({ side: "original", protocol: IPPROTO_UDP, destinationPort: port.hostPort });
    }
  }

  /** Those that were translated to it. */
  end(endpoint: EndpointRecord): void {
    if (endpoint.ports.length > 0) this.#ask({ side: "reply", source: toBytes(parseInet4(endpoint.address)!) });
  }

  #ask(question: ConnectionFilter): void {
    this.#questions.push(question);
    if (this.#asking) return;
    this.#asking = true;
    this.#later();
  }

  #later(): void {
    this.#loop.timer(DELAY, () => {
      const next = this.#questions.shift();
      try {
        if (next !== undefined) this.#socket.forget(next);
      } catch {
        // They end by themselves after their time.
      }
      this.#asking = this.#questions.length > 0;
      if (this.#asking) this.#later();
    });
  }
}
