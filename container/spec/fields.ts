// Readers of JSON fields: each turns an untyped value into a typed one or refuses with the field's name, so that
// config.json is checked while it is read. A field that is absent or null takes its default; unknown fields are
// ignored.
//
//     const readUser = record({ uid: or(uint32, 0), umask: optional(uint32) });
//     type User = Read<typeof readUser>;                       // { uid: number; umask: number | null }

import { Failure } from "../../base/errors.ts";
import type { Json } from "../../base/json.ts";

/** `at` names the field as it stands in the file: "process.user.uid". */
export type Reader<Value> = (value: Json | undefined, at: string) => Value;
export type Read<R> = R extends Reader<infer Value> ? Value : never;

function refuse(at: string, wanted: string, value: Json | undefined): never {
  throw new Failure("invalid_argument", `config.json: ${at} must be ${wanted}, not ${describe(value)}`, {
    facts: { field: at },
  });
}

function describe(value: Json | undefined): string {
  if (value === undefined || value === null) return "absent";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `the text ${JSON.stringify(value)}` : String(value);
}

export const text: Reader<string> = (value, at) => (typeof value === "string" ? value : refuse(at, "a text", value));

export const flag: Reader<boolean> = (value, at) =>
  typeof value === "boolean" ? value : refuse(at, "true or false", value);

function integer(least: bigint, most: bigint): Reader<number | bigint> {
  const [low, high] = [Number(least), Number(most)];
  return (value, at) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= low && value <= high) return value;
    if (typeof value === "bigint" && value >= least && value <= most) return value;
    return refuse(at, `an integer from ${least} to ${most}`, value);
  };
}

function small(least: number, most: number): Reader<number> {
  return (value, at) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : refuse(at, `an integer from ${least} to ${most}`, value);
}

export const uint32 = small(0, 0xffffffff);
export const uint16 = small(0, 0xffff);
export const int32 = small(-0x80000000, 0x7fffffff);
const wideSigned = integer(-(2n ** 63n), 2n ** 63n - 1n);
const wideUnsigned = integer(0n, 2n ** 64n - 1n);
export const int64: Reader<bigint> = (value, at) => BigInt(wideSigned(value, at));
export const uint64: Reader<bigint> = (value, at) => BigInt(wideUnsigned(value, at));
/** As it stands in the file, to be read later or not at all. */
export const raw: Reader<Json> = (value) => value ?? null;

export function or<Value>(reader: Reader<Value>, fallback: Value): Reader<Value> {
  return (value, at) => (value === undefined || value === null ? fallback : reader(value, at));
}

export function optional<Value>(reader: Reader<Value>): Reader<Value | null> {
  return or<Value | null>(reader, null);
}

export function oneOf<const Value extends string>(...allowed: readonly Value[]): Reader<Value> {
  return (value, at) =>
    allowed.find((candidate) => candidate === value) ?? refuse(at, `one of ${allowed.join(", ")}`, value);
}

/** Absent means empty. */
export function list<Value>(reader: Reader<Value>): Reader<Value[]> {
  return (value, at) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return refuse(at, "a list", value);
    return value.map((entry, index) => reader(entry, `${at}[${index}]`));
  };
}

/** Absent means empty; keys are the file's own. */
export function map<Value>(reader: Reader<Value>): Reader<Record<string, Value>> {
  return (value, at) => {
    const entries: Record<string, Value> = {};
    for (const [key, entry] of Object.entries(members(value ?? {}, at))) entries[key] = reader(entry, `${at}.${key}`);
    return entries;
  };
}

type Fields = Readonly<Record<string, Reader<unknown>>>;

export function record<F extends Fields>(fields: F): Reader<{ [Key in keyof F]: Read<F[Key]> }> {
  const readers = Object.entries(fields);
  return (value, at) => {
    const from = inOurCase(fields, members(value, at));
    const into: Record<string, unknown> = {};
    for (const [key, reader] of readers) into[key] = reader(from[key], at === "" ? key : `${at}.${key}`);
    return into as { [Key in keyof F]: Read<F[Key]> };
  };
}

/** Go reads a field under its name in any case ("pagesize" for "pageSize"), and people's files rely on it. */
function inOurCase(fields: Fields, from: Members): Members {
  let copy: Members | null = null;
  for (const given of Object.keys(from)) {
    if (Object.hasOwn(fields, given)) continue;
    const key = Object.keys(fields).find((name) => name.toLowerCase() === given.toLowerCase());
    if (key !== undefined) (copy ??= { ...from })[key] = from[given]!;
  }
  return copy ?? from;
}

type Members = { [key: string]: Json };

function members(value: Json | undefined, at: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(at, "an object", value);
  return value;
}
