// Netlink: messages and attributes in bytes, and a socket that sends requests and gathers answers. Used by
// netlink-route.ts (links, addresses, routes) and nftables.ts.
//
// Both families answer while the request's sendto runs, so that when it has returned the whole answer lies in the
// socket's queue: nothing here waits, and an empty queue means the end.
//
//     u32 length, u16 type, u16 flags, u32 sequence, u32 port | family header | attributes: u16 length, u16 type, value

import { type Bytes, concatBytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { door } from "./door.ts";
import { EAGAIN, must, retrying, SyscallFailure } from "./errno.ts";
import type { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";
import { setOption, socket } from "./socket.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_ACK_TLVS = 0x200;
const NLM_F_CAPPED = 0x100;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
export const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

/** struct nlmsghdr */
export const HEADER_SIZE = 16;
/** Larger than any single answer; the kernel cuts dumps into datagrams that fit what was last read with. */
const RECEIVE_BUFFER = 16 << 10;
/** Room in the kernel for one transaction: 20,000 map elements and their errors. */
const SOCKET_BUFFER = 4 << 20;
/** A dump that the kernel calls inconsistent is repeated this often. */
const DUMP_ATTEMPTS = 8;

/** Builds one message. Attribute values are little-endian as the machine's, but for `be16` and `be32`. */
export class MessageWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = HEADER_SIZE;

  constructor(type: number, flags: number, sequence = 0) {
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags, true);
    this.#view.setUint32(8, sequence, true);
  }

  raw(bytes: Uint8Array): this {
    const start = this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const start = this.#grow(4 + value.length);
    this.#view.setUint16(start, 4 + value.length, true);
    this.#view.setUint16(start + 2, type, true);
    this.#bytes.set(value, start + 4);
    return this;
  }

  /** With its NUL. */
  text(type: number, value: string): this {
    return this.bytes(type, concatBytes([door().encode(value), Uint8Array.of(0)]));
  }

  u8(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value));
  }

  u32(type: number, value: number): this {
    return this.bytes(type, new Uint8Array(Uint32Array.of(value).buffer));
  }

  be32(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
  }

  be64(type: number, value: bigint): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value);
    return this.bytes(type, bytes);
  }

  /** An attribute whose value is what `inside` writes: attributes, or a header and attributes. */
  nest(type: number, inside: () => void): this {
    const start = this.#grow(4);
    inside();
    this.#view.setUint16(start, this.#at - start, true);
    this.#view.setUint16(start + 2, type, true);
    return this;
  }

  finish(): Bytes {
    this.#view.setUint32(0, this.#at, true);
    return this.#bytes.slice(0, this.#at);
  }

  /** The message so far, for deciding when a list is long enough. */
  get length(): number {
    return this.#at;
  }

  #grow(length: number): number {
    const start = this.#at;
    // Every attribute begins at a multiple of four.
    this.#at += (length + 3) & ~3;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(this.#at * 2);
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }
}

/** Attributes by type; of a repeated type the last. A truncated one ends the walk. */
export function attributes(bytes: Bytes): Map<number, Bytes> {
  const found = new Map<number, Bytes>();
  for (const [type, value] of attributeList(bytes)) found.set(type, value);
  return found;
}

export function attributeList(bytes: Bytes): [type: number, value: Bytes][] {
  const list: [number, Bytes][] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    list.push([view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length)]);
    at += (length + 3) & ~3;
  }
  return list;
}

/** A NUL-terminated text. */
export function textOf(value: Bytes): string {
  const end = value.indexOf(0);
  return door().decode(value, 0, end < 0 ? value.length : end);
}

export function u32Of(value: Bytes): number {
  return new DataView(value.buffer, value.byteOffset, value.length).getUint32(0, true);
}

export function be32Of(value: Bytes): number {
  return new DataView(value.buffer, value.byteOffset, value.length).getUint32(0);
}

export interface Answer {
  type: number;
  sequence: number;
  /** After struct nlmsghdr. */
  body: Bytes;
}

/** What the kernel said of one message: 0 is an acknowledgement, else the errno, with the kernel's own sentence. */
export interface Verdict {
  sequence: number;
  errno: number;
  sentence: string;
}

export class NetlinkSocket implements Disposable {
  readonly #fd: Fd;
  readonly #buffer = new Uint8Array(RECEIVE_BUFFER);
  #sequence = 1;

  /** Belongs to the network namespace in which it is made, wherever the process goes afterwards. */
  constructor(protocol: number) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    setOption(this.#fd.number, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    if (protocol !== NETLINK_NETFILTER) return;
    setOption(this.#fd.number, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    setOption(this.#fd.number, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
  }

  nextSequence(): number {
    return this.#sequence++;
  }

  /** Sends messages in one datagram and gives what they were answered with. */
  exchange(messages: readonly Bytes[]): { answers: Answer[]; verdicts: Verdict[] } {
    this.#send(concatBytes(messages));
    const answers: Answer[] = [];
    const verdicts: Verdict[] = [];
    const buffer = this.#buffer;
    for (;;) {
      const got = retrying(nr.SYS_recvfrom, this.#fd.number, buffer, buffer.length, MSG_DONTWAIT, null, null);
      if (got === -EAGAIN) return { answers, verdicts };
      must("recv", "netlink", got);
      splitDatagram(buffer.slice(0, got), answers, verdicts);
    }
  }

  /** One request that changes something; a refusal throws SyscallFailure with `subject`. */
  request(subject: string, messages: readonly Bytes[]): void {
    for (const verdict of this.exchange(messages).verdicts) {
      if (verdict.errno !== 0) throw refusal(subject, verdict);
    }
  }

  /** All messages of a dump. */
  dump(subject: string, message: () => Bytes): Answer[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const { answers, verdicts } = this.exchange([message()]);
      const refused = verdicts.find((verdict) => verdict.errno !== 0);
      if (refused !== undefined) throw refusal(subject, refused);
      if (answers.every((answer) => answer.type !== INTERRUPTED)) return answers;
    }
    throw new Failure("unavailable", `${subject}: the kernel's table changed during every attempt to read it`);
  }

  #send(bytes: Bytes): void {
    // struct sockaddr_nl: the kernel is port 0.
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    const sent = retrying(nr.SYS_sendto, this.#fd.number, bytes, bytes.length, 0, address, address.length);
    must("send", "netlink", sent);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** Stands for a dump part that the kernel marked as inconsistent; no kernel message has this type. */
const INTERRUPTED = -1;

export function refusal(subject: string, verdict: Verdict): SyscallFailure {
  const failure = new SyscallFailure("netlink", verdict.errno, subject);
  if (verdict.sentence !== "") failure.message += ` (${verdict.sentence})`;
  return failure;
}

/** The messages of one datagram, sorted into answers and verdicts. */
export function splitDatagram(datagram: Bytes, answers: Answer[], verdicts: Verdict[]): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  for (let at = 0; at + HEADER_SIZE <= datagram.length; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER_SIZE || at + length > datagram.length) return;
    const [type, flags] = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
    const sequence = view.getUint32(at + 8, true);
    const body = datagram.subarray(at + HEADER_SIZE, at + length);
    if (type === NLMSG_ERROR) verdicts.push(verdictOf(body, flags, sequence));
    else if (type === NLMSG_DONE) {
      const errno = body.length >= 4 ? -new DataView(body.buffer, body.byteOffset).getInt32(0, true) : 0;
      if (errno > 0) verdicts.push({ sequence, errno, sentence: "" });
    } else answers.push({ type, sequence, body });
    if ((flags & NLM_F_DUMP_INTR) !== 0 && type !== NLMSG_ERROR) answers.push({ type: INTERRUPTED, sequence, body });
    at += (length + 3) & ~3;
  }
}

/** struct nlmsgerr: s32 error, the request's header (and body, unless capped), then attributes. */
function verdictOf(body: Bytes, flags: number, sequence: number): Verdict {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const errno = -view.getInt32(0, true);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { sequence, errno, sentence: "" };
  const echoed = (flags & NLM_F_CAPPED) !== 0 ? HEADER_SIZE : view.getUint32(4, true);
  const sentence = attributes(body.subarray((4 + echoed + 3) & ~3)).get(NLMSGERR_ATTR_MSG);
  return { sequence, errno, sentence: sentence === undefined ? "" : textOf(sentence) };
}
