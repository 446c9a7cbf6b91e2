// The protobuf codec: one small interpreter of field tables, shared by Node and QuickJS. Generated code (api/*/gen) is
// the tables and the TypeScript types; a function per message would be several times the bytecode in every shim.
//
// Shapes: int64 and uint64 are bigint, bytes are Uint8Array, a message that is absent is null, as is an absent
// `optional` or oneof member; a map is a plain object. Unknown fields are skipped. Source: protobuf encoding
// specification, proto3.

import { type Bytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { ProtobufReader } from "./reader.ts";
import { ProtobufWriter } from "./writer.ts";

/** Messages inside messages; a hostile frame could otherwise exhaust the stack. */
export const NESTING_LIMIT = 64;

export type ScalarType =
  | "bool"
  | "bytes"
  | "double"
  | "fixed32"
  | "fixed64"
  | "float"
  | "int32"
  | "int64"
  | "sint32"
  | "sint64"
  | "sfixed32"
  | "sfixed64"
  | "string"
  | "uint32"
  | "uint64";

/** "one": always there, default when zero. "maybe": null when absent. "many": an array. "map": keyed by string. */
export type Label = "one" | "maybe" | "many" | "map";

export type FieldType = ScalarType | AnyMessageType;

export type Field = readonly [number: number, name: string, type: FieldType, label?: Label];

export interface MessageType<T> {
  /** Full protobuf name, which is also its type_url. */
  readonly typeName: string;
  encode(message: T): Bytes;
  /** Throws Failure "invalid_argument" on malformed bytes, and on more elements of lists and maps than that. */
  decode(bytes: Uint8Array, elements?: number): T;
  /** Fills what is not given with proto3's defaults. */
  create(given?: Partial<T>): T;
}

/** What generated code exports for each message. */
export interface GeneratedType<T> extends MessageType<T>, AnyMessageType {}

type Values = Record<string, unknown>;

export interface AnyMessageType {
  readonly typeName: string;
  readonly fields: () => readonly Field[];
}

/** Made by generated code alone. `fields` is a function so that messages may name each other in any order. */
export function message<T extends object>(
  typeName: string,
  fields: () => readonly Field[],
): MessageType<T> & AnyMessageType {
  let known: readonly Field[] | null = null;
  const table = () => {
    known ??= fields();
    return known;
  };
  const self = { typeName, fields: table };
  return {
    ...self,
    encode: (value) => {
      const writer = new ProtobufWriter();
      encodeMessage(writer, self, value as Values);
      return writer.finish();
    },
    decode: (bytes, elements = Number.POSITIVE_INFINITY) => {
      const reader = new ProtobufReader(bytes, { start: 0, end: bytes.length, elements: { left: elements } });
      return decodeMessage(self, reader, 0) as T;
    },
    create: (given) => ({ ...(defaults(self) as T), ...given }),
  };
}

function defaults(type: AnyMessageType): Values {
  const values: Values = {};
  for (const [, name, fieldType, label] of type.fields()) values[name] = defaultOf(fieldType, label ?? "one");
  return values;
}

function defaultOf(type: FieldType, label: Label): unknown {
  if (label === "many") return [];
  if (label === "map") return {};
  if (label === "maybe" || typeof type !== "string") return null;
  return zeroOf(type);
}

function zeroOf(type: ScalarType): unknown {
  if (type === "string") return "";
  if (type === "bool") return false;
  if (type === "bytes") return new Uint8Array(0);
  return type.endsWith("64") ? 0n : 0;
}

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;

function wireTypeOf(type: FieldType): number {
  if (typeof type !== "string" || type === "string" || type === "bytes") return WIRE_BYTES;
  if (type === "double" || type === "fixed64" || type === "sfixed64") return WIRE_64;
  return type === "float" || type === "fixed32" || type === "sfixed32" ? WIRE_32 : WIRE_VARINT;
}

function encodeMessage(writer: ProtobufWriter, type: AnyMessageType, values: Values): void {
  for (const [number, name, fieldType, label] of type.fields()) {
    const value = values[name];
    if (value === null || value === undefined) continue;
    if (label === "many") encodeRepeated(writer, number, fieldType, value as unknown[]);
    else if (label === "map") encodeMap(writer, number, fieldType, value as Values);
    else if (label === "maybe" || typeof fieldType !== "string" || !isZero(value)) {
      encodeField(writer, number, fieldType, value);
    }
  }
}

function isZero(value: unknown): boolean {
  return (
    value === 0 ||
    value === 0n ||
    value === "" ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  );
}

function encodeField(writer: ProtobufWriter, number: number, type: FieldType, value: unknown): void {
  writer.tag(number, wireTypeOf(type));
  if (typeof type === "string") encodeScalar(writer, type, value);
  else writer.nested((inner) => encodeMessage(inner, type, value as Values));
}

function encodeRepeated(writer: ProtobufWriter, number: number, type: FieldType, list: readonly unknown[]): void {
  if (list.length === 0) return;
  if (typeof type !== "string" || wireTypeOf(type) === WIRE_BYTES) {
    for (const value of list) encodeField(writer, number, type, value);
    return;
  }
  writer.tag(number, WIRE_BYTES);
  writer.nested((inner) => {
    for (const value of list) encodeScalar(inner, type, value);
  });
}

function encodeMap(writer: ProtobufWriter, number: number, type: FieldType, map: Values): void {
  for (const [key, value] of Object.entries(map)) {
    writer.tag(number, WIRE_BYTES);
    writer.nested((entry) => {
      encodeField(entry, 1, "string", key);
      encodeField(entry, 2, type, value);
    });
  }
}

function encodeScalar(writer: ProtobufWriter, type: ScalarType, value: unknown): void {
  switch (type) {
    case "string":
      writer.bytes(encodeUtf8(value as string));
      break;
    case "bytes":
      writer.bytes(value as Uint8Array);
      break;
    case "bool":
      writer.varint(value === true ? 1 : 0);
      break;
    case "uint32":
      writer.varint((value as number) >>> 0);
      break;
    case "int32":
      if ((value as number) < 0) writer.varint64(BigInt(value as number));
      else writer.varint(value as number);
      break;
    case "sint32":
      writer.varint((((value as number) << 1) ^ ((value as number) >> 31)) >>> 0);
      break;
    case "int64":
    case "uint64":
      writer.varint64(value as bigint);
      break;
    case "sint64":
      writer.varint64(((value as bigint) << 1n) ^ ((value as bigint) >> 63n));
      break;
    case "fixed32":
    case "sfixed32":
      writer.fixed32(value as number);
      break;
    case "fixed64":
    case "sfixed64":
      writer.fixed64(value as bigint);
      break;
    case "float":
      writer.float(value as number);
      break;
    case "double":
      writer.double(value as number);
      break;
  }
}

function decodeMessage(type: AnyMessageType, reader: ProtobufReader, depth: number): Values {
  if (depth > NESTING_LIMIT)
    throw new Failure("invalid_argument", `protobuf: more than ${NESTING_LIMIT} nested messages`);
  const values = defaults(type);
  const fields = type.fields();
  while (!reader.atEnd) {
    const [number, wire] = reader.tag();
    const field = fields.find((candidate) => candidate[0] === number);
    if (field === undefined) reader.skip(wire);
    else decodeField(values, field, wire, { reader, depth });
  }
  return values;
}

interface Place {
  reader: ProtobufReader;
  depth: number;
}

function decodeField(values: Values, [, name, type, label]: Field, wire: number, place: Place): void {
  if (label === "map") {
    place.reader.element();
    const [key, value] = decodeEntry(type, place);
    Object.defineProperty(values[name], key, { value, enumerable: true, writable: true, configurable: true });
  } else if (label === "many") {
    const list = values[name] as unknown[];
    if (wire === WIRE_BYTES && wireTypeOf(type) !== WIRE_BYTES) decodePacked(list, type as ScalarType, place.reader);
    else {
      place.reader.element();
      list.push(decodeValue(type, wire, place));
    }
  } else {
    values[name] = decodeValue(type, wire, place);
  }
}

function decodePacked(list: unknown[], type: ScalarType, reader: ProtobufReader): void {
  const inner = reader.section();
  while (!inner.atEnd) {
    inner.element();
    list.push(decodeScalar(type, inner));
  }
}

function decodeEntry(type: FieldType, place: Place): [key: string, value: unknown] {
  const entry = { reader: place.reader.section(), depth: place.depth };
  let key = "";
  let value: unknown = typeof type === "string" ? zeroOf(type) : defaults(type);
  while (!entry.reader.atEnd) {
    const [number, wire] = entry.reader.tag();
    if (number === 1) key = decodeValue("string", wire, entry) as string;
    else if (number === 2) value = decodeValue(type, wire, entry);
    else entry.reader.skip(wire);
  }
  return [key, value];
}

function decodeValue(type: FieldType, wire: number, place: Place): unknown {
  if (wire !== wireTypeOf(type))
    throw new Failure("invalid_argument", `protobuf: wire type ${wire} does not fit the field`);
  if (typeof type === "string") return decodeScalar(type, place.reader);
  return decodeMessage(type, place.reader.section(), place.depth + 1);
}

function decodeScalar(type: ScalarType, reader: ProtobufReader): unknown {
  switch (type) {
    case "string":
      return decodeUtf8(reader.bytes());
    case "bytes":
      // Not slice(): that of a Buffer would share the memory.
      return new Uint8Array(reader.bytes());
    case "bool":
      return reader.varint64() !== 0n;
    case "uint32":
      return reader.varint32() >>> 0;
    case "int32":
      return reader.varint32() | 0;
    case "sint32": {
      const folded = reader.varint32() >>> 0;
      return (folded >>> 1) ^ -(folded & 1);
    }
    case "uint64":
      return reader.varint64();
    case "int64":
      return BigInt.asIntN(64, reader.varint64());
    case "sint64": {
      const folded = reader.varint64();
      return (folded >> 1n) ^ -(folded & 1n);
    }
    case "fixed32":
      return reader.fixed32() >>> 0;
    case "sfixed32":
      return reader.fixed32() | 0;
    case "fixed64":
      return reader.fixed64();
    case "sfixed64":
      return BigInt.asIntN(64, reader.fixed64());
    case "float":
      return reader.float();
    case "double":
      return reader.double();
  }
}
