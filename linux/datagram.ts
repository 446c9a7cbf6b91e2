// UDP datagrams with the addresses they came from and came to.

import type { Bytes } from "../base/bytes.ts";
import { door } from "./door.ts";
import { EAGAIN, retrying } from "./errno.ts";
import * as nr from "./numbers.ts";

const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_RECVPKTINFO = 49;
const IPV6_PKTINFO = 50;
const SO_DOMAIN = 39;
const SOL_SOCKET = 1;
const AF_INET6 = 10;
const CMSG_HEADER = 16;
const CONTROL_SIZE = 64;
const ADDRESS_SIZE = 28;
const MSG_NOSIGNAL = 0x4000;
const MSG_TRUNC = 0x20;

/** Memory for one datagram at a time, with the structures the calls take. */
export class DatagramBuffer {
  readonly data: Bytes;
  readonly address = new Uint8Array(ADDRESS_SIZE);
  readonly control = new Uint8Array(CONTROL_SIZE);

  constructor(size: number) {
    this.data = new Uint8Array(size);
  }
}

export interface Datagram {
  /** In the buffer, until the next one is received. */
  data: Bytes;
  /** struct sockaddr of the sender. */
  address: Bytes;
  /** What a reply's control data must be so that it leaves from the address this one came to; may be empty. */
  control: Bytes;
}

export function enablePacketInfo(socket: number): void {
  const domain = new Int32Array(1);
  door().syscall(nr.SYS_getsockopt, socket, SOL_SOCKET, SO_DOMAIN, domain, Int32Array.of(4));
  const [level, option] = domain[0] === AF_INET6 ? [IPPROTO_IPV6, IPV6_RECVPKTINFO] : [IPPROTO_IP, IP_PKTINFO];
  door().syscall(nr.SYS_setsockopt, socket, level, option, Int32Array.of(1), 4);
}

/** struct msghdr with one iovec; all parts must be held while the call runs. */
function header(parts: { address: Uint8Array | null; data: Uint8Array; control: Uint8Array | null }) {
  const at = (bytes: Uint8Array | null) => (bytes === null || bytes.length === 0 ? 0n : BigInt(door().address(bytes)));
  const vector = BigInt64Array.of(at(parts.data), BigInt(parts.data.length));
  const words = new BigInt64Array(7);
  words[0] = at(parts.address);
  words[1] = BigInt(parts.address?.length ?? 0);
  words[2] = BigInt(door().address(new Uint8Array(vector.buffer)));
  words[3] = 1n;
  words[4] = at(parts.control);
  words[5] = BigInt(parts.control?.length ?? 0);
  return { words, vector, parts };
}

/** Null when nothing is there (or the peer refused an earlier datagram). */
export function receiveDatagram(socket: number, buffer: DatagramBuffer): Datagram | null {
  const held = header({ address: buffer.address, data: buffer.data, control: buffer.control });
  const got = retrying(nr.SYS_recvmsg, socket, held.words, 0);
  if (got === -EAGAIN || got < 0) return null;
  if ((Number(held.words[6]! & 0xffffffffn) & MSG_TRUNC) !== 0) return receiveDatagram(socket, buffer);
  const addressLength = Number(held.words[1]! & 0xffffffffn);
  return {
    data: buffer.data.subarray(0, got),
    address: buffer.address.slice(0, addressLength),
    control: replyControl(buffer.control.subarray(0, Number(held.words[5]!))),
  };
}

/** From in_pktinfo {index, spec_dst, addr} the source of a reply is spec_dst; from in6_pktinfo {addr, index} addr. The
 *  interface is left to routing. */
function replyControl(control: Bytes): Bytes {
  if (control.length < CMSG_HEADER) return new Uint8Array(0);
  const view = new DataView(control.buffer, control.byteOffset, control.length);
  const [length, level, type] = [Number(view.getBigUint64(0, true)), view.getInt32(8, true), view.getInt32(12, true)];
  const reply = control.slice(0, (length + 7) & ~7);
  if (level === IPPROTO_IP && type === IP_PKTINFO) reply.fill(0, CMSG_HEADER, CMSG_HEADER + 4);
  else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) reply.fill(0, CMSG_HEADER + 16, CMSG_HEADER + 20);
  else return new Uint8Array(0);
  return reply;
}

/** To the connected peer, or to an address from another. What cannot be sent now is lost. */
export function sendDatagram(socket: number, data: Bytes, to: { address: Bytes; control: Bytes } | null = null): void {
  const held = header({ address: to?.address ?? null, data, control: to?.control ?? null });
  retrying(nr.SYS_sendmsg, socket, held.words, MSG_NOSIGNAL);
}
