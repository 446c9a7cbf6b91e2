// One network interface moved between namespaces, with its addresses of both families. Structures from
// include/uapi/linux/{rtnetlink,if_link,if_addr}.h.

import type { Bytes } from "../base/bytes.ts";
import { ENODEV } from "./errno.ts";
import * as nl from "./netlink.ts";

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const IFF_UP = 1;
const IFLA_IFNAME = 3;
const IFLA_NET_NS_FD = 28;
const IFA_LOCAL = 2;
const IFA_ADDRESS = 1;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_PERMANENT = 0x80;
const LINK_HEADER = 16;
const ADDRESS_HEADER = 8;
const CHANGE = nl.NLM_F_REQUEST | nl.NLM_F_ACK;

export interface Device {
  index: number;
  up: boolean;
}

export interface DeviceAddress {
  family: number;
  prefix: number;
  /** RT_SCOPE_*; 0 is the whole world. */
  scope: number;
  /** Not from a router or a lease, and not temporary. */
  permanent: boolean;
  /** IFA_LOCAL, IFA_ADDRESS and IFA_BROADCAST, as far as they are there. */
  parts: [type: number, value: Bytes][];
}

/** struct ifinfomsg */
function linkHeader(index: number, up: boolean | null): Uint8Array {
  const bytes = new Uint8Array(LINK_HEADER);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, index, true);
  if (up === null) return bytes;
  view.setUint32(8, up ? IFF_UP : 0, true);
  view.setUint32(12, IFF_UP, true);
  return bytes;
}

/** The interfaces of the namespace in which it was made. */
export class DeviceSocket implements Disposable {
  readonly #socket = new nl.NetlinkSocket(nl.NETLINK_ROUTE);

  /** Null when there is none of this name. */
  find(name: string): Device | null {
    const message = new nl.MessageWriter(RTM_GETLINK, nl.NLM_F_REQUEST, this.#socket.nextSequence());
    const { answers, verdicts } = this.#socket.exchange([
      message.raw(linkHeader(0, null)).text(IFLA_IFNAME, name).finish(),
    ]);
    const refused = verdicts.find((verdict) => verdict.errno !== 0);
    if (refused !== undefined && refused.errno !== ENODEV) throw nl.refusal(name, refused);
    const body = answers[0]?.body;
    if (body === undefined) return null;
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    return { index: view.getInt32(4, true), up: (view.getUint32(8, true) & IFF_UP) !== 0 };
  }

  setUp(index: number, up: boolean): void {
    this.#change(`interface ${index}`, RTM_NEWLINK, (message) => message.raw(linkHeader(index, up)));
  }

  /** Under its new name from its first moment there: another may have the old one. */
  move(index: number, to: { namespace: number; name: string }): void {
    this.#change(to.name, RTM_NEWLINK, (message) =>
      message.raw(linkHeader(index, null)).text(IFLA_IFNAME, to.name).u32(IFLA_NET_NS_FD, to.namespace),
    );
  }

  addresses(index: number): DeviceAddress[] {
    const answers = this.#socket.dump("addresses", () => {
      const flags = nl.NLM_F_REQUEST | nl.NLM_F_DUMP;
      const message = new nl.MessageWriter(RTM_GETADDR, flags, this.#socket.nextSequence());
      return message.raw(new Uint8Array(ADDRESS_HEADER)).finish();
    });
    return answers.flatMap(({ body }) => {
      // struct ifaddrmsg: u8 family, prefix length, flags, scope; u32 index
      const view = new DataView(body.buffer, body.byteOffset, body.length);
      if (view.getUint32(4, true) !== index) return [];
      const found = nl.attributes(body.subarray(ADDRESS_HEADER));
      const flags = found.has(IFA_FLAGS) ? nl.u32Of(found.get(IFA_FLAGS)!) : body[2]!;
      const types = [IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST].filter((type) => found.has(type));
      return [
        {
          ...{ family: body[0]!, prefix: body[1]!, scope: body[3]! },
          permanent: (flags & IFA_F_PERMANENT) !== 0,
          parts: types.map((type): [number, Bytes] => [type, found.get(type)!.slice()]),
        },
      ];
    });
  }

  addAddress(index: number, address: DeviceAddress): void {
    const header = new Uint8Array(ADDRESS_HEADER);
    header.set([address.family, address.prefix, 0, address.scope]);
    new DataView(header.buffer).setUint32(4, index, true);
    this.#change(
      "address",
      RTM_NEWADDR,
      (message) => {
        message.raw(header);
        for (const [type, value] of address.parts) message.bytes(type, value);
        return message;
      },
      nl.NLM_F_CREATE | nl.NLM_F_EXCL,
    );
  }

  #change(subject: string, type: number, fill: (message: nl.MessageWriter) => nl.MessageWriter, more = 0): void {
    const message = new nl.MessageWriter(type, CHANGE | more, this.#socket.nextSequence());
    this.#socket.request(subject, [fill(message).finish()]);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
