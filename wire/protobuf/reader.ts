// Bounded input of the protobuf codec: every length is checked against the section it lies in.

import { Failure } from "../../base/errors.ts";

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_BYTES = 2;
const WIRE_32 = 5;

function malformed(what: string): Failure {
  return new Failure("invalid_argument", `protobuf: ${what}`);
}

interface Section {
  start: number;
  end: number;
  /** Elements of lists and maps that may still come; of the whole message. */
  elements: { left: number };
}

export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #elements: { left: number };
  #at: number;

  constructor(bytes: Uint8Array, { start, end, elements }: Section) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#elements = elements;
  }

  /** One more element of a list or map is about to be kept. */
  element(): void {
    if (this.#elements.left-- <= 0) throw malformed("too many elements");
  }

  get atEnd(): boolean {
    return this.#at >= this.#end;
  }

  tag(): [number: number, wire: number] {
    const tag = this.varint32() >>> 0;
    const number = tag >>> 3;
    if (number === 0) throw malformed("field number 0");
    return [number, tag & 7];
  }

  /** The low 32 bits; a longer varint (a negative int32 takes ten bytes) is read whole. */
  varint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw malformed("a varint is longer than ten bytes");
  }

  /** Unsigned. */
  varint64(): bigint {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 127) << shift;
      if (byte < 128) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw malformed("a varint is longer than ten bytes");
  }

  bytes(): Uint8Array {
    const start = this.#take(this.#length());
    return this.#bytes.subarray(start, this.#at);
  }

  /** A reader of the length-delimited part that comes next. */
  section(): ProtobufReader {
    const start = this.#take(this.#length());
    return new ProtobufReader(this.#bytes, { start, end: this.#at, elements: this.#elements });
  }

  fixed32(): number {
    return this.#view(4).getUint32(0, true);
  }

  fixed64(): bigint {
    return this.#view(8).getBigUint64(0, true);
  }

  float(): number {
    return this.#view(4).getFloat32(0, true);
  }

  double(): number {
    return this.#view(8).getFloat64(0, true);
  }

  skip(wire: number): void {
    if (wire === WIRE_VARINT) this.varint64();
    else if (wire === WIRE_64) this.#take(8);
    else if (wire === WIRE_BYTES) this.#take(this.#length());
    else if (wire === WIRE_32) this.#take(4);
    else throw malformed(`unknown wire type ${wire}`);
  }

  #length(): number {
    const length = this.varint64();
    if (length > BigInt(this.#end - this.#at)) throw malformed("a length runs past the end");
    return Number(length);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw malformed("it ends in the middle of a field");
    return this.#bytes[this.#at++]!;
  }

  #take(length: number): number {
    if (length > this.#end - this.#at) throw malformed("it ends in the middle of a field");
    const start = this.#at;
    this.#at += length;
    return start;
  }

  #view(length: number): DataView {
    const start = this.#take(length);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }
}
