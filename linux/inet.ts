// Addresses of IPv4 and IPv6 as text and bytes, and sockets bound to them.

import type { Bytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { door } from "./door.ts";
import { must } from "./errno.ts";
import type { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";
import * as net from "./socket.ts";

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** What the kernel's own limit (net.core.somaxconn) then cuts down. */
const BACKLOG = 4096;
const IPV6_GROUPS = 8;

export interface Endpoint {
  /** Four or sixteen bytes. */
  address: Bytes;
  port: number;
}

/** Four bytes, sixteen bytes, or null for what is no numeric address. */
export function parseAddress(text: string): Bytes | null {
  return text.includes(":") ? parseInet6(text) : net.ipv4Bytes(text);
}

function parseInet6(text: string): Bytes | null {
  const [head, tail, ...more] = text.split("::");
  if (more.length > 0) return null;
  const left = groupsOf(head!);
  const right = tail === undefined ? [] : groupsOf(tail);
  if (left === null || right === null) return null;
  const missing = IPV6_GROUPS - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const groups = [...left, ...new Array<number>(missing).fill(0), ...right];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** An IPv4 address may stand in the last two groups' place. */
function groupsOf(text: string): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  for (const part of text.split(":")) {
    const v4 = net.ipv4Bytes(part);
    if (v4 !== null) groups.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

/** As Go prints it; the longest run of zero groups as "::". */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: IPV6_GROUPS }, (_none, at) => (bytes[at * 2]! << 8) | bytes[at * 2 + 1]!);
  let [best, bestLength] = [-1, 1];
  for (let start = 0; start < IPV6_GROUPS; start++) {
    let end = start;
    while (end < IPV6_GROUPS && groups[end] === 0) end++;
    if (end - start > bestLength) [best, bestLength] = [start, end - start];
  }
  const text = (list: number[]) => list.map((group) => group.toString(16)).join(":");
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}

/** "10.0.0.1:80" or "[::1]:80". */
export function formatEndpoint(at: Endpoint): string {
  const text = formatAddress(at.address);
  return at.address.length === 4 ? `${text}:${at.port}` : `[${text}]:${at.port}`;
}

/** struct sockaddr_in or sockaddr_in6 */
export function socketAddress(at: Endpoint): Bytes {
  if (at.address.length === 4) return net.inet4Address(at.address, at.port);
  const bytes = new Uint8Array(28);
  bytes[0] = net.AF_INET6;
  bytes[2] = at.port >> 8;
  bytes[3] = at.port & 255;
  bytes.set(at.address, 8);
  return bytes;
}

export function parseSocketAddress(bytes: Bytes): Endpoint {
  const port = (bytes[2]! << 8) | bytes[3]!;
  if (bytes[0] === net.AF_INET) return { address: bytes.slice(4, 8), port };
  if (bytes[0] === net.AF_INET6) return { address: bytes.slice(8, 24), port };
  throw new Failure("invalid_argument", `address family ${bytes[0]} is not IPv4 or IPv6`);
}

/** A non-blocking listening socket. The listen is what finds another listener on the port. */
export function listenTcp(at: Endpoint): Fd {
  return bound(at, net.SOCK_STREAM, (fd) => {
    net.setOption(fd, net.SOL_SOCKET, net.SO_REUSEADDR, 1);
    bind(fd, at);
    must("listen", formatEndpoint(at), door().syscall(nr.SYS_listen, fd, BACKLOG));
  });
}

/** A non-blocking datagram socket. */
export function bindUdp(at: Endpoint): Fd {
  return bound(at, net.SOCK_DGRAM, (fd) => bind(fd, at));
}

function bound(at: Endpoint, type: number, prepare: (fd: number) => void): Fd {
  const fd = net.socket(at.address.length === 4 ? net.AF_INET : net.AF_INET6, type | net.SOCK_NONBLOCK);
  try {
    if (at.address.length !== 4) net.setOption(fd.number, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    prepare(fd.number);
    return fd;
  } catch (thrown) {
    fd.close();
    throw thrown;
  }
}

function bind(fd: number, at: Endpoint): void {
  const address = socketAddress(at);
  must("bind", formatEndpoint(at), door().syscall(nr.SYS_bind, fd, address, address.length));
}

/** As Go sets them on every connection: small writes leave at once, and a peer that vanished is noticed. */
export function tuneTcp(fd: number): void {
  net.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  net.setOption(fd, net.SOL_SOCKET, SO_KEEPALIVE, 1);
}
