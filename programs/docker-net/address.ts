// IPv4 addresses and prefixes as numbers, for choosing them. An address is an unsigned 32-bit number; no bitwise
// operator is used on it, because JavaScript's are signed.

import { Failure } from "../../base/errors.ts";
import { ipv4Bytes } from "../../linux/socket.ts";

export interface Prefix {
  /** The first address, host bits zero. */
  network: number;
  length: number;
}

export function sizeOf(prefix: Prefix): number {
  return 2 ** (32 - prefix.length);
}

/** Null for what is no address. */
export function parseInet4(text: string): number | null {
  const bytes = ipv4Bytes(text);
  return bytes === null ? null : fromBytes(bytes);
}

export function fromBytes(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

export function toBytes(address: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([24, 16, 8, 0], (shift) => Math.floor(address / 2 ** shift) % 256);
}

export function formatInet4(address: number): string {
  return toBytes(address).join(".");
}

/** "172.17.0.0/16", or with an address in it, "172.17.0.5/16", which comes back beside its network. */
export function parsePrefix(text: string): { prefix: Prefix; address: number } {
  const [addressText, lengthText] = text.split("/");
  const address = parseInet4(addressText ?? "");
  const length = /^\d{1,2}$/.test(lengthText ?? "") ? Number(lengthText) : -1;
  // A /31 and a /32 have no room for a gateway and a container.
  if (address === null || length < 1 || length > 30 || text.split("/").length !== 2) {
    throw new Failure("invalid_argument", `invalid subnet ${text}: invalid CIDR address`);
  }
  return { prefix: prefixOf(address, length), address };
}

export function prefixOf(address: number, length: number): Prefix {
  const size = 2 ** (32 - length);
  return { network: Math.floor(address / size) * size, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatInet4(prefix.network)}/${prefix.length}`;
}

export function contains(prefix: Prefix, address: number): boolean {
  return address >= prefix.network && address < prefix.network + sizeOf(prefix);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.network < b.network + sizeOf(b) && b.network < a.network + sizeOf(a);
}

/** Docker's hardware addresses: 02:42 and the IPv4 address, so that one container has one in its neighbours' caches. */
export function macOf(address: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(2, 0x42, ...toBytes(address));
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Docker's default pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in parts of /20. */
export function* defaultPools(): Generator<Prefix> {
  for (let second = 17; second <= 31; second++) yield prefixOf(fromBytes(Uint8Array.of(172, second, 0, 0)), 16);
  for (let third = 0; third < 256; third += 16) yield prefixOf(fromBytes(Uint8Array.of(192, 168, third, 0)), 20);
}

/** The first pool that overlaps nothing taken. */
export function choosePool(taken: readonly Prefix[]): Prefix {
  for (const pool of defaultPools()) if (!taken.some((one) => overlaps(one, pool))) return pool;
  throw new Failure("resource_exhausted", "could not find an available, non-overlapping IPv4 address pool");
}

/** The lowest free host address of the prefix; null when all are taken. */
export function lowestFree(prefix: Prefix, taken: ReadonlySet<number>): number | null {
  const last = prefix.network + sizeOf(prefix) - 2;
  for (let address = prefix.network + 1; address <= last; address++) if (!taken.has(address)) return address;
  return null;
}
