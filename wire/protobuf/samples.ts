// Random values of generated messages, and their way into and out of protobufjs's shapes. Used by tests only.

import protobuf from "protobufjs";
import type { AnyMessageType, Field, FieldType, GeneratedType, ScalarType } from "./codec.ts";

export type Values = Record<string, unknown>;
export type GeneratedMessage = GeneratedType<Values>;

/** Deeper ones are left out, so that a sample stays small. */
const DEPTH = 4;

const TEXTS = ["", "a", "containerd", "grüße", "漢字", "🐳", "x".repeat(200)];
const INTEGERS = [
  0n,
  1n,
  127n,
  128n,
  16_384n,
  2n ** 31n - 1n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

export function isMessage(value: unknown): value is GeneratedMessage {
  return typeof value === "object" && value !== null && "typeName" in value && "decode" in value;
}

export class Samples {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer from 0 up to and without `limit`. (mulberry32) */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  bytes(limit: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: this.below(limit) }, () => this.below(256));
  }

  message(type: AnyMessageType, depth = 0): Values {
    const values: Values = {};
    for (const [, name, fieldType, label] of type.fields()) {
      const some = () => this.#value(fieldType, depth);
      const absent = this.below(3) === 0 || (typeof fieldType !== "string" && depth >= DEPTH);
      const count = absent ? 0 : this.below(4);
      if (label === "many") values[name] = Array.from({ length: count }, some);
      else if (label === "map") values[name] = this.#map(count, some);
      else if (label === "maybe" || typeof fieldType !== "string") values[name] = absent ? null : some();
      else values[name] = some();
    }
    return values;
  }

  #map(count: number, some: () => unknown): Values {
    const map: Values = {};
    for (let at = 0; at < count; at++) map[`${this.#pick(TEXTS)}${at}`] = some();
    return map;
  }

  #value(type: FieldType, depth: number): unknown {
    return typeof type === "string" ? this.scalar(type) : this.message(type, depth + 1);
  }

  scalar(type: ScalarType): unknown {
    const integer = this.below(2) === 0 ? this.#pick(INTEGERS) : BigInt(this.below(2 ** 32));
    const negated = this.below(2) === 0 ? -integer : integer;
    switch (type) {
      case "string":
        return this.#pick(TEXTS);
      case "bytes":
        return this.bytes(60);
      case "bool":
        return this.below(2) === 1;
      case "uint32":
      case "fixed32":
        return Number(BigInt.asUintN(32, integer));
      case "int32":
      case "sint32":
      case "sfixed32":
        return Number(BigInt.asIntN(32, negated));
      case "uint64":
      case "fixed64":
        return BigInt.asUintN(64, integer);
      case "int64":
      case "sint64":
      case "sfixed64":
        return BigInt.asIntN(64, negated);
      case "float":
        return Math.fround(this.below(1_000_000) / 7);
      case "double":
        return this.below(1_000_000) / 7;
    }
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** protobufjs writes whatever is set, so a proto3 default must be left out. */
export function toTheirs(type: AnyMessageType, values: Values): Values {
  const theirs: Values = {};
  for (const field of type.fields()) {
    const [, name, fieldType, label] = field;
    const value = values[name];
    const one = (item: unknown) => valueToTheirs(fieldType, item);
    if (value === null || isDefault(field, value)) continue;
    if (label === "many") theirs[name] = (value as unknown[]).map(one);
    else if (label === "map") theirs[name] = mapValues(value as Values, one);
    else theirs[name] = one(value);
  }
  return theirs;
}

function isDefault([, , type, label]: Field, value: unknown): boolean {
  if (label !== undefined && label !== "one") return false;
  if (typeof type !== "string") return false;
  if (value instanceof Uint8Array) return value.length === 0;
  return value === 0 || value === 0n || value === "" || value === false;
}

function valueToTheirs(type: FieldType, value: unknown): unknown {
  if (typeof type !== "string") return toTheirs(type, value as Values);
  if (typeof value !== "bigint") return value;
  // Low and high half, for protobufjs has no bigint.
  const [low, high] = [BigInt.asIntN(32, value), BigInt.asIntN(32, value >> 32n)];
  return new protobuf.util.Long(Number(low), Number(high), type === "uint64" || type === "fixed64");
}

export function toOurs(type: AnyMessageType, theirs: unknown): Values {
  const from = theirs as Values;
  const values: Values = {};
  for (const [, name, fieldType, label] of type.fields()) {
    const value = from[name];
    const one = (item: unknown) => valueToOurs(fieldType, item);
    const present = Object.hasOwn(from, name);
    if (label === "many") values[name] = present ? (value as unknown[]).map(one) : [];
    else if (label === "map") values[name] = present ? mapValues(value as Values, one) : {};
    else if (label === "maybe" || typeof fieldType !== "string") values[name] = present ? one(value) : null;
    else values[name] = one(value);
  }
  return values;
}

function valueToOurs(type: FieldType, value: unknown): unknown {
  if (typeof type !== "string") return toOurs(type, value);
  if (type === "bytes") return Uint8Array.from(value as Uint8Array);
  return type.endsWith("64") ? BigInt(String(value)) : value;
}

function mapValues(map: Values, change: (value: unknown) => unknown): Values {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
