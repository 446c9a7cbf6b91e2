// One 512-byte tar block to an entry and back: ustar with GNU's and PAX's ways of saying what does not fit.
// Portable and without I/O: containerd-unpack drives it with blocking reads, a test with bytes in memory.
// Source: POSIX.1-2017 pax, GNU tar manual "Basic Tar Format". Names are text with surrogate escapes, never normalised.

import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";

export const BLOCK = 512;

export type EntryKind = "file" | "link" | "symlink" | "character" | "block" | "directory" | "fifo";

export interface Entry {
  name: string;
  kind: EntryKind;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content that follow. */
  size: number;
  /** Nanoseconds since 1970. */
  modified: bigint;
  /** Of link and symlink. */
  target: string;
  major: number;
  minor: number;
  xattrs: ReadonlyMap<string, Bytes>;
}

/** A block as it stands: an entry, or a note about the next one. */
export interface RawHeader extends Omit<Entry, "kind" | "xattrs"> {
  typeFlag: string;
}

const KINDS: Readonly<Record<string, EntryKind>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  "1": "link",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};
const FLAGS: Readonly<Record<EntryKind, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};
const ID_LIMIT = 0xffffffff; // ids are unsigned 32 bit; 2^32-1 means "leave alone" to chown and is refused
const XATTR_PREFIX = "SCHILY.xattr.";

export function kindOf(header: RawHeader): EntryKind {
  const kind = KINDS[header.typeFlag];
  if (kind === undefined) {
    const what = header.typeFlag === "S" ? "a sparse file" : `of unknown type ${JSON.stringify(header.typeFlag)}`;
    throw broken(`entry ${JSON.stringify(header.name)} is ${what}, which is not supported`);
  }
  // Old archives say "directory" by a slash at the end of a file's name.
  return kind === "file" && header.name.endsWith("/") ? "directory" : kind;
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

export function parseHeader(block: Uint8Array): RawHeader {
  checkSum(block);
  const ustar = decodeUtf8(block.subarray(257, 262)) === "ustar";
  const gnu = ustar && block[262] === 0x20;
  const prefix = ustar && !gnu ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8) % 0o10000,
    uid: id(number(block, 108, 8)),
    gid: id(number(block, 116, 8)),
    size: number(block, 124, 12),
    modified: BigInt(number(block, 136, 12)) * 1_000_000_000n,
    typeFlag: String.fromCharCode(block[156]!),
    target: text(block, 157, 100),
    major: ustar ? number(block, 329, 8) : 0,
    minor: ustar ? number(block, 337, 8) : 0,
  };
}

/** The records of a PAX header: "length key=value\n". Values stay bytes: an extended attribute may be any. */
export function parsePax(body: Bytes): Map<string, Bytes> {
  const records = new Map<string, Bytes>();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 ? "" : decodeUtf8(body.subarray(at, space));
    const end = at + Number(digits);
    if (!/^\d{1,9}$/.test(digits) || end > body.length || end <= space + 1 || body[end - 1] !== 0x0a) {
      throw broken("a PAX header is malformed");
    }
    const equals = body.indexOf(0x3d, space + 1);
    if (equals < 0 || equals >= end) throw broken("a PAX header is malformed");
    records.set(decodeUtf8(body.subarray(space + 1, equals)), body.slice(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The entry that a header and the PAX records before it make together. */
export function withPax(header: RawHeader, records: ReadonlyMap<string, Bytes>): Entry {
  const xattrs = new Map<string, Bytes>();
  const entry: RawHeader = { ...header };
  for (const [key, value] of records) {
    if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length), value);
    else if (key.startsWith("GNU.sparse.")) {
      throw broken(`entry ${JSON.stringify(header.name)} is a sparse file, which is not supported`);
    } else if (key === "path") entry.name = decodeUtf8(value);
    else if (key === "linkpath") entry.target = decodeUtf8(value);
    else if (key === "size") entry.size = paxNumber(key, value);
    else if (key === "uid") entry.uid = id(paxNumber(key, value));
    else if (key === "gid") entry.gid = id(paxNumber(key, value));
    else if (key === "mtime") entry.modified = paxTime(value);
  }
  const { typeFlag: _, ...rest } = entry;
  return { ...rest, kind: kindOf(entry), xattrs };
}

function paxNumber(key: string, value: Bytes): number {
  const digits = decodeUtf8(value);
  if (!/^\d{1,15}$/.test(digits)) throw broken(`a PAX header has a bad ${key}`);
  return Number(digits);
}

function paxTime(value: Bytes): bigint {
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(decodeUtf8(value));
  if (match === null) throw broken("a PAX header has a bad mtime");
  const fraction = BigInt((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  const whole = BigInt(match[2]!) * 1_000_000_000n + fraction;
  return match[1] === "-" ? -whole : whole;
}

function text(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return decodeUtf8(end < 0 ? field : field.subarray(0, end));
}

/** Octal text, or big-endian binary when the first bit is set (GNU, for what octal cannot hold). */
function number(block: Uint8Array, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if ((field[0]! & 0x80) !== 0) return binaryNumber(field);
  const digits = text(block, at, length).trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw broken("a header has a number that is not octal");
  return Number.parseInt(digits, 8);
}

function binaryNumber(field: Uint8Array): number {
  let value = BigInt(field[0]! & 0x7f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken("a header has a number that is too large");
  return Number(value);
}

function id(value: number): number {
  if (value >= ID_LIMIT) throw broken(`a header has an owner id ${value}, which is beyond 32 bits`);
  return value;
}

function checkSum(block: Uint8Array): void {
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 0x20 : block[at]!;
  if (sum !== number(block, 148, 8))
    throw broken("a header's checksum is wrong: this is no tar archive, or it is damaged");
}

function broken(reason: string): Failure {
  return new Failure("invalid_argument", `archive: ${reason}`);
}

/** The blocks that announce an entry: a PAX header before it when something does not fit. */
export function formatEntry(entry: Entry): Bytes {
  const pax = neededPax(entry);
  const parts: Bytes[] = [];
  if (pax.length > 0) {
    const body = concatBytes(pax);
    parts.push(formatBlock({ ...entry, name: "PaxHeaders/entry", size: body.length, target: "", mode: 0o644 }, "x"));
    parts.push(padded(body));
  }
  parts.push(formatBlock(entry, FLAGS[entry.kind]));
  return parts.length === 1 ? parts[0]! : concatBytes(parts);
}

/** Zeros after `size` bytes of content, up to the next block. */
export function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function padded(body: Bytes): Bytes {
  return concatBytes([body, new Uint8Array(padding(body.length))]);
}

function neededPax(entry: Entry): Bytes[] {
  const records: Bytes[] = [];
  const plain = (value: string) => /^[\x20-\x7e]*$/.test(value);
  if (encodeUtf8(entry.name).length > 100 || !plain(entry.name))
    records.push(paxRecord("path", encodeUtf8(entry.name)));
  if (encodeUtf8(entry.target).length > 100 || !plain(entry.target)) {
    records.push(paxRecord("linkpath", encodeUtf8(entry.target)));
  }
  if (entry.size >= 8 ** 11) records.push(paxRecord("size", encodeUtf8(String(entry.size))));
  if (entry.uid >= 8 ** 7) records.push(paxRecord("uid", encodeUtf8(String(entry.uid))));
  if (entry.gid >= 8 ** 7) records.push(paxRecord("gid", encodeUtf8(String(entry.gid))));
  if (entry.modified % 1_000_000_000n !== 0n || entry.modified < 0n) {
    records.push(paxRecord("mtime", encodeUtf8(decimalTime(entry.modified))));
  }
  for (const [key, value] of entry.xattrs) records.push(paxRecord(XATTR_PREFIX + key, value));
  return records;
}

function decimalTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? "-" : "";
  const whole = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  return `${sign}${whole / 1_000_000_000n}.${String(whole % 1_000_000_000n).padStart(9, "0")}`;
}

/** The length counts itself. */
function paxRecord(key: string, value: Bytes): Bytes {
  const rest = concatBytes([encodeUtf8(` ${key}=`), value, encodeUtf8("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return concatBytes([encodeUtf8(String(length)), rest]);
}

function formatBlock(entry: Entry, typeFlag: string): Bytes {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, length: number, value: string): void => {
    block.set(encodeUtf8(value).subarray(0, length), at);
  };
  const octal = (at: number, length: number, value: number): void => {
    const fits = value < 8 ** (length - 1) ? value : 0;
    put(at, length, `${fits.toString(8).padStart(length - 1, "0")}\0`);
  };
  put(0, 100, entry.name);
  octal(100, 8, entry.mode);
  octal(108, 8, entry.uid);
  octal(116, 8, entry.gid);
  octal(124, 12, entry.size);
  octal(136, 12, entry.modified < 0n ? 0 : Number(entry.modified / 1_000_000_000n));
  put(148, 8, "        ");
  put(156, 1, typeFlag);
  put(157, 100, entry.target);
  put(257, 8, "ustar\x0000");
  octal(329, 8, entry.major);
  octal(337, 8, entry.minor);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, 8, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
