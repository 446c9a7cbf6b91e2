// The kernel's table of connections (ctnetlink): finding those that match a filter and forgetting them, so that the
// next packet is judged by the rules of now. Numbers from include/uapi/linux/netfilter/nfnetlink_conntrack.h; filters
// are applied by the kernel since 5.8.

import type { Bytes } from "../base/bytes.ts";
import { ENOENT } from "./errno.ts";
import * as nl from "./netlink.ts";
import { AF_INET } from "./socket.ts";

const SUBSYSTEM = 1 << 8;
const GET = SUBSYSTEM | 1;
const DELETE = SUBSYSTEM | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const BY_SOURCE = 1 << 0;
const BY_PROTOCOL = 1 << 3;
const BY_DESTINATION_PORT = 1 << 5;
const NESTED = nl.NLA_F_NESTED;

/** Either side of a connection: "original" as its first packet was, "reply" as the answers are (their source is the
 *  address after translation). */
export type ConnectionFilter =
  | { side: "original" | "reply"; source: Uint8Array }
  | { side: "original"; protocol: number; destinationPort: number };

/** struct nfgenmsg */
const HEADER = [AF_INET, 0, 0, 0] as const;

export function encodeFind(filter: ConnectionFilter, sequence: number): Bytes {
  const message = new nl.MessageWriter(GET, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, sequence).raw(Uint8Array.from(HEADER));
  const original = filter.side === "original";
  message.nest((original ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY) | NESTED, () => {
    if ("source" in filter) {
      message.nest(CTA_TUPLE_IP | NESTED, () => void message.bytes(CTA_IP_V4_SRC, filter.source));
      return;
    }
    message.nest(CTA_TUPLE_PROTO | NESTED, () => {
      const port = filter.destinationPort;
      message.u8(CTA_PROTO_NUM, filter.protocol).bytes(CTA_PROTO_DST_PORT, Uint8Array.of(port >> 8, port & 255));
    });
  });
  const flags = "source" in filter ? BY_SOURCE : BY_PROTOCOL | BY_DESTINATION_PORT;
  const which = original ? CTA_FILTER_ORIG_FLAGS : CTA_FILTER_REPLY_FLAGS;
  return message.nest(CTA_FILTER | NESTED, () => void message.u32(which, flags)).finish();
}

function encodeForget(tuple: Bytes, id: Bytes, sequence: number): Bytes {
  const message = new nl.MessageWriter(DELETE, nl.NLM_F_REQUEST, sequence).raw(Uint8Array.from(HEADER));
  return message
    .bytes(CTA_TUPLE_ORIG | NESTED, tuple)
    .bytes(CTA_ID, id)
    .finish();
}

/** A socket of one network namespace. */
export class ConntrackSocket implements Disposable {
  readonly #socket = new nl.NetlinkSocket(nl.NETLINK_NETFILTER);

  /** How many there were. One that ended meanwhile is no error. */
  forget(filter: ConnectionFilter): number {
    const found = this.#socket.dump("connections", () => encodeFind(filter, this.#socket.nextSequence()));
    for (const { body } of found) {
      const facts = nl.attributes(body.subarray(HEADER.length));
      const [tuple, id] = [facts.get(CTA_TUPLE_ORIG), facts.get(CTA_ID)];
      if (tuple === undefined || id === undefined) continue;
      const { verdicts } = this.#socket.exchange([encodeForget(tuple, id, this.#socket.nextSequence())]);
      const refused = verdicts.find((verdict) => verdict.errno !== 0 && verdict.errno !== ENOENT);
      if (refused !== undefined) throw nl.refusal("connections", refused);
    }
    return found.length;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
