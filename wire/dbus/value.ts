// Values of D-Bus and how they lie in bytes, by signature (D-Bus specification, "Marshaling"). Little endian alone:
// that is what this side writes, and what every server on the same machine answers with. Used by message.ts.

import { assert } from "../../base/assert.ts";
import { type Bytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";

/** A value that carries its own type: `v`. */
export interface Variant {
  signature: string;
  value: DbusValue;
}

/** y n q i u h: number. x t: bigint. d: number. b: boolean. s o g: string. ay: bytes. Arrays, structs and dictionary
 *  entries: lists. */
export type DbusValue = boolean | number | bigint | string | Uint8Array | Variant | readonly DbusValue[];

/** Bytes of one message and of one array, by the specification. */
export const MESSAGE_LIMIT = 128 << 20;
const ARRAY_LIMIT = 64 << 20;
/** Containers in each other, arrays and structs together. */
const DEPTH_LIMIT = 64;

const ALIGNMENT: Readonly<Record<string, number>> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, i: 4, u: 4, b: 4, h: 4, s: 4, o: 4, a: 4, x: 8, t: 8, d: 8, "(": 8, "{": 8 },
};

/** The first complete type of a signature, as the place after it. Throws for what is none. */
export function endOfType(signature: string, at: number, depth = 0): number {
  const code = signature[at];
  if (code === undefined || depth > DEPTH_LIMIT) throw malformed(`the signature ${JSON.stringify(signature)}`);
  if (code === "a") return endOfType(signature, at + 1, depth + 1);
  if (code === "(" || code === "{") {
    const close = code === "(" ? ")" : "}";
    let next = at + 1;
    while (signature[next] !== close) next = endOfType(signature, next, depth + 1);
    return next + 1;
  }
  if (!(code in ALIGNMENT)) throw malformed(`the signature ${JSON.stringify(signature)}`);
  return at + 1;
}

export function splitTypes(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function malformed(what: string): Failure {
  return new Failure("data_loss", `malformed D-Bus message: ${what}`);
}

export class Writer {
  #view = new DataView(new ArrayBuffer(512));
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(): Bytes {
    return new Uint8Array(this.#view.buffer, 0, this.#length).slice();
  }

  align(to: number): void {
    this.#reserve(-this.#length & (to - 1));
  }

  /** The position of `size` new zero bytes. */
  #reserve(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(this.#length, this.#view.byteLength * 2));
      grown.set(new Uint8Array(this.#view.buffer, 0, at));
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  write(type: string, value: DbusValue): void {
    const code = type[0]!;
    if (code === "s" || code === "o") this.#text(value as string, 4);
    else if (code === "g") this.#text(value as string, 1);
    else if (code === "v") {
      const { signature, value: inner } = value as Variant;
      this.#text(signature, 1);
      this.write(signature, inner);
    } else {
      this.align(ALIGNMENT[code]!);
      if (code === "a") this.#array(type.slice(1), value);
      else if (code === "(" || code === "{") this.#struct(type, value as readonly DbusValue[]);
      else this.#number(code, value);
    }
  }

  #struct(type: string, parts: readonly DbusValue[]): void {
    const types = splitTypes(type.slice(1, -1));
    assert(types.length === parts.length, "a struct has a value for each of its types");
    types.forEach((part, index) => {
      this.write(part, parts[index]!);
    });
  }

  #number(code: string, value: DbusValue): void {
    const at = this.#reserve(ALIGNMENT[code]!);
    if (code === "b") this.#view.setUint32(at, value === true ? 1 : 0, true);
    else if (code === "y") this.#view.setUint8(at, value as number);
    else if (code === "n" || code === "q") this.#view.setUint16(at, value as number, true);
    else if (code === "d") this.#view.setFloat64(at, value as number, true);
    else if (code === "x" || code === "t") this.#view.setBigUint64(at, BigInt.asUintN(64, value as bigint), true);
    else this.#view.setUint32(at, value as number, true);
  }

  #text(text: string, lengthSize: 1 | 4): void {
    const bytes = encodeUtf8(text);
    this.align(lengthSize);
    const at = this.#reserve(lengthSize);
    if (lengthSize === 4) this.#view.setUint32(at, bytes.length, true);
    else this.#view.setUint8(at, bytes.length);
    this.#put(bytes);
    this.#reserve(1);
  }

  #put(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  #array(type: string, value: DbusValue): void {
    const at = this.#reserve(4);
    // The padding before the first element is there even when there is none, and does not count.
    this.align(ALIGNMENT[type[0]!]!);
    const start = this.#length;
    if (value instanceof Uint8Array) this.#put(value);
    else for (const part of value as readonly DbusValue[]) this.write(type, part);
    this.#view.setUint32(at, this.#length - start, true);
  }
}

export class Reader {
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  align(to: number): void {
    this.#at += -this.#at & (to - 1);
  }

  #take(size: number): number {
    const at = this.#at;
    if (size > this.#view.byteLength - at) throw malformed("it ends in the middle of a value");
    this.#at += size;
    return at;
  }

  read(type: string, depth = 0): DbusValue {
    if (depth > DEPTH_LIMIT) throw malformed("values in values without end");
    const code = type[0]!;
    const size = ALIGNMENT[code]!;
    if (code === "s" || code === "o") return this.#text(4);
    if (code === "g") return this.#text(1);
    if (code === "v") {
      const signature = this.#text(1);
      if (endOfType(signature, 0) !== signature.length) throw malformed("a variant of more than one value");
      return { signature, value: this.read(signature, depth + 1) };
    }
    this.align(size);
    if (code === "a") return this.#array(type.slice(1), depth);
    if (code === "(" || code === "{") return splitTypes(type.slice(1, -1)).map((part) => this.read(part, depth + 1));
    const at = this.#take(size);
    if (code === "b") return this.#view.getUint32(at, true) !== 0;
    if (code === "y") return this.#view.getUint8(at);
    if (code === "n") return this.#view.getInt16(at, true);
    if (code === "q") return this.#view.getUint16(at, true);
    if (code === "i") return this.#view.getInt32(at, true);
    if (code === "d") return this.#view.getFloat64(at, true);
    if (code === "x") return this.#view.getBigInt64(at, true);
    if (code === "t") return this.#view.getBigUint64(at, true);
    return this.#view.getUint32(at, true);
  }

  #text(lengthSize: 1 | 4): string {
    this.align(lengthSize);
    const at = this.#take(lengthSize);
    const length = lengthSize === 4 ? this.#view.getUint32(at, true) : this.#view.getUint8(at);
    const start = this.#take(length + 1);
    return decodeUtf8(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }

  #array(type: string, depth: number): DbusValue {
    const length = this.#view.getUint32(this.#take(4), true);
    if (length > ARRAY_LIMIT) throw malformed(`an array of ${length} bytes`);
    this.align(ALIGNMENT[type[0]!]!);
    const end = this.#at + length;
    if (end > this.#view.byteLength) throw malformed("it ends in the middle of an array");
    if (type === "y") {
      return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#take(length), length).slice();
    }
    const values: DbusValue[] = [];
    while (this.#at < end) values.push(this.read(type, depth + 1));
    if (this.#at !== end) throw malformed("an array ends in the middle of a value");
    return values;
  }
}
