// Messages of D-Bus: a header of a fixed part and named fields, padded to eight bytes, then the body. Also the words
// with which a connection begins (SASL EXTERNAL). Called by whoever holds the socket; no I/O here.
//
//     client ── \0 AUTH EXTERNAL, DATA, BEGIN ──▶ bus        all at once: nothing depends on the answers
//     client ◀─ DATA, OK <guid> ───────────────── bus        who it is, the bus sees from the socket
//     client ── messages ──▶◀── messages ──────── bus

import { type Bytes, concatBytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { type DbusValue, MESSAGE_LIMIT, Reader, splitTypes, type Variant, Writer } from "./value.ts";

/** The first byte by itself; then no name is claimed (an empty DATA), so that it also works from a user namespace,
 *  where a process does not know its name outside. */
export const OPENING = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
/** Lines the bus answers the opening with, before its first message. */
export const OPENING_ANSWERS = 2;

export const METHOD_CALL = 1;
export const METHOD_RETURN = 2;
export const ERROR = 3;
export const SIGNAL = 4;

const LITTLE_ENDIAN = 0x6c;
const VERSION = 1;
/** Bytes before the fields' own; with them comes all that is needed to know the length of the rest. */
export const FIXED_HEADER = 16;

/** Field names in the order of their codes, with their types (D-Bus specification, "Header Fields"). */
const FIELDS = [
  ["path", "o"],
  ["interface", "s"],
  ["member", "s"],
  ["errorName", "s"],
  ["replySerial", "u"],
  ["destination", "s"],
  ["sender", "s"],
  ["signature", "g"],
] as const;

export interface Message {
  type: number;
  serial: number;
  path: string | null;
  interface: string | null;
  member: string | null;
  errorName: string | null;
  /** To which call this is the answer. */
  replySerial: number | null;
  destination: string | null;
  sender: string | null;
  /** Of the body; "" without one. */
  signature: string;
  body: readonly DbusValue[];
}

export type Call = Pick<Message, "serial" | "path" | "interface" | "member" | "destination" | "signature" | "body">;

export function encodeCall(call: Call): Bytes {
  const body = new Writer();
  splitTypes(call.signature).forEach((type, index) => {
    body.write(type, call.body[index]!);
  });
  const header = new Writer();
  for (const byte of [LITTLE_ENDIAN, METHOD_CALL, 0, VERSION]) header.write("y", byte);
  header.write("u", body.length);
  header.write("u", call.serial);
  const fields: DbusValue[] = [];
  FIELDS.forEach(([name, type], index) => {
    const value = name in call ? call[name as keyof Call] : null;
    if (value !== null && value !== "") fields.push([index + 1, { signature: type, value: value as DbusValue }]);
  });
  header.write("a(yv)", fields);
  header.align(8);
  return concatBytes([header.bytes(), body.bytes()]);
}

/** The whole length of the message whose first FIXED_HEADER bytes these are. */
export function lengthOf(head: Uint8Array): number {
  if (head[0] !== LITTLE_ENDIAN || head[3] !== VERSION) {
    throw new Failure("data_loss", "malformed D-Bus message: it is not of version 1 and little endian");
  }
  const reader = new Reader(head, 4);
  const body = reader.read("u") as number;
  reader.read("u");
  const fields = reader.read("u") as number;
  const length = FIXED_HEADER + ((fields + 7) & ~7) + body;
  if (fields > MESSAGE_LIMIT || body > MESSAGE_LIMIT || length > MESSAGE_LIMIT) {
    throw new Failure("data_loss", `malformed D-Bus message: a length of ${body} bytes`);
  }
  return length;
}

export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(bytes, 8);
  const message: Message = {
    ...{ type: bytes[1]!, serial: reader.read("u") as number, path: null, interface: null, member: null },
    ...{ errorName: null, replySerial: null, destination: null, sender: null, signature: "", body: [] },
  };
  for (const [code, field] of reader.read("a(yv)") as [number, Variant][]) {
    const [name, type] = FIELDS[code - 1] ?? [];
    // Unknown fields are to be ignored.
    if (name === undefined) continue;
    if (field.signature !== type) throw new Failure("data_loss", `malformed D-Bus message: a ${name} of another type`);
    Object.assign(message, { [name]: field.value });
  }
  reader.align(8);
  message.body = splitTypes(message.signature).map((type) => reader.read(type));
  return message;
}

/** Turns what comes from a socket into messages. */
export class Decoder {
  #held: Bytes = new Uint8Array(0);

  add(bytes: Uint8Array): void {
    this.#held = concatBytes([this.#held, bytes]);
  }

  /** A line of the opening without its end; null while it is not whole. */
  line(): string | null {
    const end = this.#held.indexOf(0x0a);
    if (end < 0) return null;
    const text = String.fromCharCode(...this.#held.subarray(0, end));
    this.#held = this.#held.slice(end + 1);
    return text.replace(/\r$/, "");
  }

  /** Null while none is whole. */
  message(): Message | null {
    if (this.#held.length < FIXED_HEADER) return null;
    const length = lengthOf(this.#held);
    if (this.#held.length < length) return null;
    const message = decodeMessage(this.#held.subarray(0, length));
    this.#held = this.#held.slice(length);
    return message;
  }
}
