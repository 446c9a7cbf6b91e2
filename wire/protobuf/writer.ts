// Growing output of the protobuf codec.

import type { Bytes } from "../../base/bytes.ts";

const FIRST_SIZE = 128;
/** A 64-bit varint takes ten bytes. */
const VARINT_LIMIT = 10;

export class ProtobufWriter {
  #buffer: Bytes = new Uint8Array(FIRST_SIZE);
  #at = 0;

  finish(): Bytes {
    return this.#buffer.subarray(0, this.#at);
  }

  tag(number: number, wire: number): void {
    this.varint(number * 8 + wire);
  }

  /** An unsigned integer below 2^53. */
  varint(value: number): void {
    this.#reserve(VARINT_LIMIT);
    let rest = value;
    while (rest > 127) {
      this.#buffer[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#at++] = rest;
  }

  /** Two's complement of 64 bits. */
  varint64(value: bigint): void {
    if (value >= 0n && value <= 0xffffffffn) {
      this.varint(Number(value));
      return;
    }
    this.#reserve(VARINT_LIMIT);
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      this.#buffer[this.#at++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#buffer[this.#at++] = Number(rest);
  }

  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A length-delimited part written by `write`. */
  nested(write: (inner: ProtobufWriter) => void): void {
    const inner = new ProtobufWriter();
    write(inner);
    this.bytes(inner.finish());
  }

  fixed32(value: number): void {
    this.#view(4).setUint32(0, value, true);
  }

  fixed64(value: bigint): void {
    this.#view(8).setBigUint64(0, BigInt.asUintN(64, value), true);
  }

  float(value: number): void {
    this.#view(4).setFloat32(0, value, true);
  }

  double(value: number): void {
    this.#view(8).setFloat64(0, value, true);
  }

  #view(length: number): DataView {
    this.#reserve(length);
    const view = new DataView(this.#buffer.buffer, this.#at, length);
    this.#at += length;
    return view;
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#at + length));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}
