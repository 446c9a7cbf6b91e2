// Unix and IPv4/IPv6 stream sockets, peer credentials, and descriptors sent as ancillary data.

import type { Bytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { door } from "./door.ts";
import { EAGAIN, EINPROGRESS, must, retrying } from "./errno.ts";
import { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const SHUT_WR = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_NOSIGNAL = 0x4000;
/** Longest path that fits sun_path with its NUL. */
export const UNIX_PATH_LIMIT = 107;
/** Connections that may wait to be accepted; the kernel lowers it to net.core.somaxconn. */
const BACKLOG = 4096;

export function socket(domain: number, type: number, protocol = 0): Fd {
  return new Fd(must("socket", "", door().syscall(nr.SYS_socket, domain, type | SOCK_CLOEXEC, protocol)));
}

export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const bytes = door().encode(path);
  if (bytes.length > UNIX_PATH_LIMIT) {
    throw new Failure("invalid_argument", `the socket path ${path} is longer than ${UNIX_PATH_LIMIT} bytes`);
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}

/** Null for what is not four decimal numbers. */
export function ipv4Bytes(host: string): Uint8Array<ArrayBuffer> | null {
  const parts = host.split(".");
  const valid = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
  return valid ? Uint8Array.from(parts.map(Number)) : null;
}

export function inet4Address(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  bytes[2] = port >> 8;
  bytes[3] = port & 255;
  bytes.set(address, 4);
  return bytes;
}

export function connect(fd: number, address: Uint8Array, subject: string): "connected" | "in progress" {
  const result = retrying(nr.SYS_connect, fd, address, address.length);
  // A unix socket whose listener's queue is full says EAGAIN, and a second attempt is needed: that is the caller's.
  if (result === -EINPROGRESS) return "in progress";
  must("connect", subject, result);
  return "connected";
}

export function connectUnix(path: string, flags = 0): Fd {
  const fd = socket(AF_UNIX, SOCK_STREAM | flags);
  try {
    connect(fd.number, unixAddress(path), path);
    return fd;
  } catch (thrown) {
    fd.close();
    throw thrown;
  }
}

/** Binds (with the mode from birth, by the umask) and listens. The path must be free. Non-blocking. */
export function listenUnix(path: string, mode: number): Fd {
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  const before = door().syscall(nr.SYS_umask, 0o777 & ~mode);
  const address = unixAddress(path);
  const bound = door().syscall(nr.SYS_bind, fd.number, address, address.length);
  door().syscall(nr.SYS_umask, before);
  try {
    must("bind", path, bound);
    must("listen", path, door().syscall(nr.SYS_listen, fd.number, BACKLOG));
    return fd;
  } catch (thrown) {
    fd.close();
    throw thrown;
  }
}

/** Null when nobody waits. */
export function accept(fd: number, flags = SOCK_NONBLOCK): Fd | null {
  const result = retrying(nr.SYS_accept4, fd, null, null, flags | SOCK_CLOEXEC);
  return result === -EAGAIN ? null : new Fd(must("accept", "", result));
}

/** Bytes taken by the socket, at most all; null when it takes nothing now. A peer that is gone is EPIPE and never the
 *  signal, which would end the whole process for one connection. */
export function send(fd: number, bytes: Uint8Array): number | null {
  const put = retrying(nr.SYS_sendto, fd, bytes, bytes.length, MSG_NOSIGNAL, null, 0);
  return put === -EAGAIN ? null : must("send", `fd ${fd}`, put);
}

export function shutdownWrite(fd: number): void {
  door().syscall(nr.SYS_shutdown, fd, SHUT_WR);
}

export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const words = new Int32Array(3);
  const length = Int32Array.of(12);
  const result = door().syscall(nr.SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, words, length);
  must("getsockopt", "SO_PEERCRED", result);
  return { pid: words[0]!, uid: words[1]! >>> 0, gid: words[2]! >>> 0 };
}

/** The pending error of a socket as an errno; 0 when there is none. */
export function socketError(fd: number): number {
  const value = new Int32Array(1);
  must("getsockopt", "SO_ERROR", door().syscall(nr.SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, value, Int32Array.of(4)));
  return value[0]!;
}

export function setOption(fd: number, level: number, option: number, value: number): void {
  must("setsockopt", `${option}`, door().syscall(nr.SYS_setsockopt, fd, level, option, Int32Array.of(value), 4));
}

export function socketPair(type = SOCK_STREAM): [Fd, Fd] {
  const ends = new Int32Array(2);
  must("socketpair", "", door().syscall(nr.SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
  return [new Fd(ends[0]!), new Fd(ends[1]!)];
}

/** struct msghdr with one iovec and one control buffer. The caller holds the whole result while the call runs: the
 *  header only knows addresses, and QuickJS frees what is no longer referenced at once. */
function message(data: Uint8Array, control: Uint8Array): { header: BigInt64Array; vector: BigInt64Array } {
  const vector = BigInt64Array.of(BigInt(door().address(data)), BigInt(data.length));
  const header = new BigInt64Array(7);
  header[2] = BigInt(door().address(new Uint8Array(vector.buffer)));
  header[3] = 1n;
  header[4] = BigInt(door().address(control));
  header[5] = BigInt(control.length);
  return { header, vector };
}

/** Sends one descriptor with some text (its name), as a console socket's receiver expects it. */
export function sendDescriptor(socketFd: number, descriptor: number, text: string): void {
  const data = door().encode(text);
  const control = new Uint8Array(24);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, 20n, true);
  view.setUint32(8, SOL_SOCKET, true);
  view.setUint32(12, SCM_RIGHTS, true);
  view.setInt32(16, descriptor, true);
  const held = message(data, control);
  must("sendmsg", "", retrying(nr.SYS_sendmsg, socketFd, held.header, MSG_NOSIGNAL));
}

/** One message: its text and the descriptor that came with it (null when none did). Null at the end of the stream. */
export function receiveDescriptor(socketFd: number): { text: string; descriptor: Fd | null } | null {
  const packet = receivePacket(socketFd, new Uint8Array(4096));
  return packet === null
    ? null
    : { text: door().decode(packet.data, 0, packet.data.length), descriptor: packet.descriptor };
}

/** One message into the buffer, with the descriptor that came along (null when none did). Null at the end. */
export function receivePacket(socketFd: number, buffer: Bytes): { data: Bytes; descriptor: Fd | null } | null {
  const control = new Uint8Array(24);
  const held = message(buffer, control);
  const got = must("recvmsg", "", retrying(nr.SYS_recvmsg, socketFd, held.header, MSG_CMSG_CLOEXEC));
  const view = new DataView(control.buffer);
  const carries = held.header[5]! >= 20n && view.getUint32(12, true) === SCM_RIGHTS;
  if (got === 0 && !carries) return null;
  return { data: buffer.subarray(0, got), descriptor: carries ? new Fd(view.getInt32(16, true)) : null };
}
