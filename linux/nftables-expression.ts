// Expressions of nftables rules in the kernel's form: a rule is a list of small instructions over registers. Register 1
// is the one every load goes to; the 32-bit registers 8.. are the same memory in parts, for concatenated keys.
// Numbers from include/uapi/linux/netfilter/nf_tables.h.

import { type Bytes, concatBytes } from "../base/bytes.ts";
import { door } from "./door.ts";
import type { MessageWriter } from "./netlink.ts";

export interface Expression {
  name: string;
  write: (message: MessageWriter) => void;
}

export type Verdict = "accept" | "drop" | { jump: string };

export const REG_1 = 1;
/** NFT_REG32_00: the first of sixteen 32-bit registers. */
export const REG32_0 = 8;
const REG_VERDICT = 0;
const NESTED = 0x8000;
const NFT_JUMP = 0xfffffffd;
const IFNAMSIZ = 16;
const NFPROTO_IPV4 = 2;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const CT_ESTABLISHED_OR_RELATED = 2 | 4;
/** IPS_DST_NAT: the connection's destination was translated. */
export const CT_STATUS_DNAT = 1 << 5;
/** RTN_LOCAL */
const LOCAL = 2;

const META = { iifname: 6, oifname: 7, l4proto: 16 } as const;
const CT = { state: 0, status: 2 } as const;
/** Fields of the IPv4 header and, at transport level, the ports, which tcp and udp have at the same place. */
const FIELDS = {
  "source address": { base: 1, offset: 12, length: 4 },
  "destination address": { base: 1, offset: 16, length: 4 },
  "destination port": { base: 2, offset: 2, length: 2 },
} as const;

export function loadMeta(key: keyof typeof META, register = REG_1): Expression {
  return { name: "meta", write: (message) => void message.be32(2, META[key]).be32(1, register) };
}

export function loadField(field: keyof typeof FIELDS, register = REG_1): Expression {
  const { base, offset, length } = FIELDS[field];
  const write = (message: MessageWriter) =>
    void message.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
  return { name: "payload", write };
}

function loadConntrack(key: keyof typeof CT): Expression {
  return { name: "ct", write: (message) => void message.be32(2, CT[key]).be32(1, REG_1) };
}

function mask(bits: Uint8Array): Expression {
  const value = (message: MessageWriter, type: number, bytes: Uint8Array) =>
    void message.nest(type | NESTED, () => void message.bytes(1, bytes));
  const write = (message: MessageWriter) => {
    message.be32(1, REG_1).be32(2, REG_1).be32(3, bits.length);
    value(message, 4, bits);
    value(message, 5, new Uint8Array(bits.length));
  };
  return { name: "bitwise", write };
}

function compare(operation: "equal" | "not equal", value: Uint8Array): Expression {
  const write = (message: MessageWriter) => {
    message.be32(1, REG_1).be32(2, operation === "equal" ? 0 : 1);
    message.nest(3 | NESTED, () => void message.bytes(1, value));
  };
  return { name: "cmp", write };
}

/** Filled with zeros to the kernel's name size, as the whole register is compared. */
function interfaceName(name: string): Bytes {
  const bytes = new Uint8Array(IFNAMSIZ);
  bytes.set(door().encode(name));
  return bytes;
}

export function incomingIs(name: string): Expression[] {
  return [loadMeta("iifname"), compare("equal", interfaceName(name))];
}

export function outgoingIs(name: string): Expression[] {
  return [loadMeta("oifname"), compare("equal", interfaceName(name))];
}

export function outgoingIsNot(name: string): Expression[] {
  return [loadMeta("oifname"), compare("not equal", interfaceName(name))];
}

/** The packet's address lies in (or outside of) the prefix. */
export function addressIn(
  field: "source address" | "destination address",
  prefix: { address: Uint8Array; length: number },
  operation: "equal" | "not equal" = "equal",
): Expression[] {
  const bits = prefixMask(prefix.length);
  const network = prefix.address.map((byte, at) => byte & bits[at]!);
  return [loadField(field), mask(bits), compare(operation, network)];
}

function prefixMask(length: number): Uint8Array {
  return Uint8Array.from([0, 8, 16, 24], (start) => (0xff << (8 - Math.min(8, Math.max(0, length - start)))) & 0xff);
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function conntrackState(bits: number): Expression[] {
  return [loadConntrack("state"), mask(word(bits)), compare("not equal", word(0))];
}

export function conntrackStatus(bits: number): Expression[] {
  return [loadConntrack("status"), mask(word(bits)), compare("not equal", word(0))];
}

/** The destination is an address of this host. */
export function destinationIsLocal(): Expression[] {
  // NFTA_FIB_DREG, RESULT = ADDRTYPE, FLAGS = DADDR
  const fib = (message: MessageWriter) => void message.be32(1, REG_1).be32(2, 3).be32(3, 2);
  return [{ name: "fib", write: fib }, compare("equal", word(LOCAL))];
}

/** Looks the key up that begins in `key`; a map's value goes to `value`. No entry: the rule does not match. */
export function lookup(set: string, key: number, value: number): Expression {
  const write = (message: MessageWriter) => void message.text(1, set).be32(2, key).be32(3, value);
  return { name: "lookup", write };
}

/** Destination NAT to the address and port in the two registers. */
export function destinationNat(address: number, port: number): Expression {
  const write = (message: MessageWriter) => {
    message.be32(1, 1).be32(2, NFPROTO_IPV4).be32(3, address).be32(5, port);
  };
  return { name: "nat", write };
}

export function masquerade(): Expression {
  return { name: "masq", write: () => undefined };
}

export function verdict(what: Verdict): Expression {
  const write = (message: MessageWriter) => {
    message.be32(1, REG_VERDICT);
    message.nest(2 | NESTED, () => {
      message.nest(2 | NESTED, () => {
        if (typeof what === "object") message.be32(1, NFT_JUMP).text(2, what.jump);
        else message.be32(1, what === "accept" ? 1 : 0);
      });
    });
  };
  return { name: "immediate", write };
}

/** Parts of a concatenated key or value, each filled up to four bytes. */
export function concatenated(parts: readonly Uint8Array[]): Bytes {
  return concatBytes(parts.flatMap((part) => [part, new Uint8Array((4 - (part.length % 4)) % 4)]));
}
