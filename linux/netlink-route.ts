// Links, addresses and routes over NETLINK_ROUTE: what `ip link`, `ip address` and `ip route` do, for bridges and veth
// pairs of IPv4 networks. Structures from include/uapi/linux/{rtnetlink,if_link,if_addr,veth}.h.

import type { Bytes } from "../base/bytes.ts";
import { ENODEV, errnoOf } from "./errno.ts";
import * as nl from "./netlink.ts";
import { AF_INET } from "./socket.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;
const LINK_HEADER = 16;
const ADDRESS_HEADER = 8;
const ROUTE_HEADER = 12;
const CHANGE = nl.NLM_F_REQUEST | nl.NLM_F_ACK;
const CREATE = CHANGE | nl.NLM_F_CREATE | nl.NLM_F_EXCL;
/** Index of `lo` in every network namespace. */
export const LOOPBACK_INDEX = 1;

export interface Link {
  index: number;
  name: string;
  /** "bridge", "veth", ...; "" for hardware and lo. */
  kind: string;
  mac: string;
  mtu: number;
  up: boolean;
  /** Index of the bridge it is a port of; 0 for none. */
  master: number;
}

export interface Inet4Prefix {
  address: Bytes;
  length: number;
}

export interface NewBridge {
  name: string;
  mac: Bytes;
  mtu: number;
}

export interface NewVeth {
  /** The host's end: up, and a port of the bridge. */
  name: string;
  bridge: number;
  mtu: number;
  /** The other end is born in this namespace (a descriptor) under this name and hardware address. */
  peer: { namespace: number; name: string; mac: Bytes };
}

/** struct ifinfomsg */
function linkHeader(options: { index?: number; up?: boolean } = {}): Uint8Array {
  const bytes = new Uint8Array(LINK_HEADER);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, options.index ?? 0, true);
  if (options.up === true) {
    view.setUint32(8, IFF_UP, true);
    view.setUint32(12, IFF_UP, true);
  }
  return bytes;
}

export function encodeNewBridge(bridge: NewBridge, sequence: number): Bytes {
  const message = new nl.MessageWriter(RTM_NEWLINK, CREATE, sequence).raw(linkHeader({ up: true }));
  message.text(IFLA_IFNAME, bridge.name).bytes(IFLA_ADDRESS, bridge.mac).u32(IFLA_MTU, bridge.mtu);
  return message.nest(IFLA_LINKINFO, () => void message.text(IFLA_INFO_KIND, "bridge")).finish();
}

/** Both ends in one message: the host's end is made, joined to the bridge and set up in the same step. */
export function encodeNewVeth(veth: NewVeth, sequence: number): Bytes {
  const message = new nl.MessageWriter(RTM_NEWLINK, CREATE, sequence).raw(linkHeader({ up: true }));
  message.text(IFLA_IFNAME, veth.name).u32(IFLA_MTU, veth.mtu).u32(IFLA_MASTER, veth.bridge);
  const peer = () => {
    message.raw(linkHeader()).text(IFLA_IFNAME, veth.peer.name).bytes(IFLA_ADDRESS, veth.peer.mac);
    message.u32(IFLA_MTU, veth.mtu).u32(IFLA_NET_NS_FD, veth.peer.namespace);
  };
  return message
    .nest(IFLA_LINKINFO, () => {
      message.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, () => void message.nest(VETH_INFO_PEER, peer));
    })
    .finish();
}

export function encodeLinkUp(index: number, sequence: number): Bytes {
  return new nl.MessageWriter(RTM_NEWLINK, CHANGE, sequence).raw(linkHeader({ index, up: true })).finish();
}

export function encodeDeleteLink(name: string, sequence: number): Bytes {
  return new nl.MessageWriter(RTM_DELLINK, CHANGE, sequence).raw(linkHeader()).text(IFLA_IFNAME, name).finish();
}

export interface BridgePort {
  /** A packet may leave through the port it came by: a container that calls its own published port. */
  hairpin: boolean;
  /** May not send to other isolated ports of its bridge (kernel 4.18). */
  isolated: boolean;
}

export function encodeBridgePort(name: string, port: BridgePort, sequence: number): Bytes {
  const message = new nl.MessageWriter(RTM_NEWLINK, CHANGE, sequence).raw(linkHeader()).text(IFLA_IFNAME, name);
  return message
    .nest(IFLA_LINKINFO, () => {
      message.text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, () => {
        message.u8(IFLA_BRPORT_MODE, Number(port.hairpin)).u8(IFLA_BRPORT_ISOLATED, Number(port.isolated));
      });
    })
    .finish();
}

/** struct ifaddrmsg: u8 family, prefix length, flags, scope; u32 index */
export function encodeNewAddress(index: number, prefix: Inet4Prefix, sequence: number): Bytes {
  const header = new Uint8Array(ADDRESS_HEADER);
  header[0] = AF_INET;
  header[1] = prefix.length;
  new DataView(header.buffer).setUint32(4, index, true);
  const message = new nl.MessageWriter(RTM_NEWADDR, CREATE, sequence).raw(header);
  message.bytes(IFA_LOCAL, prefix.address).bytes(IFA_ADDRESS, prefix.address);
  return message.bytes(IFA_BROADCAST, broadcast(prefix)).finish();
}

/** struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags */
export function encodeDefaultRoute(gateway: Bytes, sequence: number): Bytes {
  const header = new Uint8Array(ROUTE_HEADER);
  header[0] = AF_INET;
  header[4] = RT_TABLE_MAIN;
  header[5] = RTPROT_BOOT;
  header[7] = RTN_UNICAST;
  return new nl.MessageWriter(RTM_NEWROUTE, CREATE, sequence).raw(header).bytes(RTA_GATEWAY, gateway).finish();
}

function broadcast(prefix: Inet4Prefix): Bytes {
  return prefix.address.map((byte, at) => byte | (0xff >> Math.min(8, Math.max(0, prefix.length - at * 8)))) as Bytes;
}

function decodeLink(body: Bytes): Link {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const found = nl.attributes(body.subarray(LINK_HEADER));
  const info = found.get(IFLA_LINKINFO);
  const kind = info === undefined ? undefined : nl.attributes(info).get(IFLA_INFO_KIND);
  const mac = found.get(IFLA_ADDRESS) ?? new Uint8Array(0);
  return {
    index: view.getInt32(4, true),
    name: nl.textOf(found.get(IFLA_IFNAME) ?? new Uint8Array(0)),
    kind: kind === undefined ? "" : nl.textOf(kind),
    mac: Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":"),
    mtu: nl.u32Of(found.get(IFLA_MTU) ?? new Uint8Array(4)),
    up: (view.getUint32(8, true) & IFF_UP) !== 0,
    master: nl.u32Of(found.get(IFLA_MASTER) ?? new Uint8Array(4)),
  };
}

/** A socket of one network namespace with the calls above. */
export class RouteSocket implements Disposable {
  readonly #socket = new nl.NetlinkSocket(nl.NETLINK_ROUTE);

  /** Sends requests together; the first that is refused throws. */
  change(subject: string, encoders: readonly ((sequence: number) => Bytes)[]): void {
    const messages = encoders.map((encode) => encode(this.#socket.nextSequence()));
    this.#socket.request(subject, messages);
  }

  /** Null when there is none of this name. */
  link(name: string): Link | null {
    const message = new nl.MessageWriter(RTM_GETLINK, nl.NLM_F_REQUEST, this.#socket.nextSequence());
    message.raw(linkHeader()).text(IFLA_IFNAME, name);
    const { answers, verdicts } = this.#socket.exchange([message.finish()]);
    const refused = verdicts.find((verdict) => verdict.errno !== 0);
    if (refused !== undefined && refused.errno !== ENODEV) this.#socket.request(name, [message.finish()]);
    return answers[0] === undefined ? null : decodeLink(answers[0].body);
  }

  links(): Link[] {
    return this.#dump("links", RTM_GETLINK, linkHeader()).map((answer) => decodeLink(answer.body));
  }

  /** False when there was none. */
  deleteLink(name: string): boolean {
    try {
      this.change(name, [(sequence) => encodeDeleteLink(name, sequence)]);
      return true;
    } catch (thrown) {
      if (errnoOf(thrown) === ENODEV) return false;
      throw thrown;
    }
  }

  addresses(): (Inet4Prefix & { index: number })[] {
    const header = new Uint8Array(ADDRESS_HEADER);
    header[0] = AF_INET;
    return this.#dump("addresses", RTM_GETADDR, header).flatMap(({ body }) => {
      const address = nl.attributes(body.subarray(ADDRESS_HEADER)).get(IFA_LOCAL);
      const index = new DataView(body.buffer, body.byteOffset, body.length).getUint32(4, true);
      return address === undefined ? [] : [{ address, length: body[1]!, index }];
    });
  }

  /** Destinations of all unicast routes of the main table but the default ones. */
  routes(): (Inet4Prefix & { index: number })[] {
    const header = new Uint8Array(ROUTE_HEADER);
    header[0] = AF_INET;
    return this.#dump("routes", RTM_GETROUTE, header).flatMap(({ body }) => {
      const found = nl.attributes(body.subarray(ROUTE_HEADER));
      const address = found.get(RTA_DST);
      const main = body[4] === RT_TABLE_MAIN;
      if (address === undefined || !main) return [];
      const output = found.get(RTA_OIF);
      return [{ address, length: body[1]!, index: output === undefined ? 0 : nl.u32Of(output) }];
    });
  }

  #dump(subject: string, type: number, header: Uint8Array): nl.Answer[] {
    return this.#socket.dump(subject, () => {
      const flags = nl.NLM_F_REQUEST | nl.NLM_F_DUMP;
      return new nl.MessageWriter(type, flags, this.#socket.nextSequence()).raw(header).finish();
    });
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
