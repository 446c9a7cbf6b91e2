// Readers of JSON fields: each turns an untyped value into a typed one or refuses with the field's name, so that
// config.json is checked while it is read. A field that is absent or null takes its default; unknown fields are
// ignored.
//
//     const readUser = record({ uid: or(uint32, 0), umask: optional(uint32) });
//     type User = Read<typeof readUser>;                       // { uid: number; umask: number | null }

import { Failure } from "../../base/errors.ts";
import type { Json } from "../../base/json.ts";

/** `at` names what the field lies in as it stands in the file, "process.user", and `key` the field in it: its name or
 *  its place in a list. They are put together only for fields with fields of their own, and to refuse: a config.json
 *  has some hundred fields, most of them absent, and each container's start reads them. */
export type Reader<Value> = (value: Json | undefined, at: string, key?: string | number) => Value;
export type Read<R> = R extends Reader<infer Value> ? Value : never;

function nameOf(at: string, key: string | number | undefined): string {
  if (key === undefined) return at;
  if (typeof key === "number") return `${at}[${key}]`;
  return at === "" ? key : `${at}.${key}`;
}

interface Refused {
  value: Json | undefined;
  at: string;
  key: string | number | undefined;
}

function refuse(wanted: string, { value, at, key }: Refused): never {
  const field = nameOf(at, key);
  throw new Failure("invalid_argument", `config.json: ${field} must be ${wanted}, not ${describe(value)}`, {
    facts: { field },
  });
}

function describe(value: Json | undefined): string {
  if (value === undefined || value === null) return "absent";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `the text ${JSON.stringify(value)}` : String(value);
}

export const text: Reader<string> = (value, at, key) =>
  typeof value === "string" ? value : refuse("a text", { value, at, key });

export const flag: Reader<boolean> = (value, at, key) =>
  typeof value === "boolean" ? value : refuse("true or false", { value, at, key });

function integer(least: bigint, most: bigint): Reader<number | bigint> {
  const [low, high] = [Number(least), Number(most)];
  return (value, at, key) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= low && value <= high) return value;
    if (typeof value === "bigint" && value >= least && value <= most) return value;
    return refuse(`an integer from ${least} to ${most}`, { value, at, key });
  };
}

function small(least: number, most: number): Reader<number> {
  return (value, at, key) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : refuse(`an integer from ${least} to ${most}`, { value, at, key });
}

export const uint32 = small(0, 0xffffffff);
export const uint16 = small(0, 0xffff);
export const int32 = small(-0x80000000, 0x7fffffff);
const wideSigned = integer(-(2n ** 63n), 2n ** 63n - 1n);
const wideUnsigned = integer(0n, 2n ** 64n - 1n);
export const int64: Reader<bigint> = (value, at, key) => BigInt(wideSigned(value, at, key));
export const uint64: Reader<bigint> = (value, at, key) => BigInt(wideUnsigned(value, at, key));
/** As it stands in the file, to be read later or not at all. */
export const raw: Reader<Json> = (value) => value ?? null;

export function or<Value>(reader: Reader<Value>, fallback: Value): Reader<Value> {
  return (value, at, key) => (value === undefined || value === null ? fallback : reader(value, at, key));
}

export function optional<Value>(reader: Reader<Value>): Reader<Value | null> {
  return or<Value | null>(reader, null);
}

export function oneOf<const Value extends string>(...allowed: readonly Value[]): Reader<Value> {
  return (value, at, key) =>
    allowed.find((candidate) => candidate === value) ?? refuse(`one of ${allowed.join(", ")}`, { value, at, key });
}

/** Absent means empty. */
export function list<Value>(reader: Reader<Value>): Reader<Value[]> {
  return (value, at, key) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) return refuse("a list", { value, at, key });
    const name = nameOf(at, key);
    const entries: Value[] = [];
    for (let index = 0; index < value.length; index++) entries.push(reader(value[index], name, index));
    return entries;
  };
}

/** Absent means empty; keys are the file's own. */
export function map<Value>(reader: Reader<Value>): Reader<Record<string, Value>> {
  return (value, at, key) => {
    if (value === undefined || value === null) return {};
    const [name, from] = [nameOf(at, key), members({ value, at, key })];
    // Not by assignment, which would take a key "__proto__" for something else.
    return Object.fromEntries(Object.keys(from).map((own) => [own, reader(from[own], name, own)]));
  };
}

type Fields = Readonly<Record<string, Reader<unknown>>>;

export function record<F extends Fields>(fields: F): Reader<{ [Key in keyof F]: Read<F[Key]> }> {
  // Without a prototype: the file may have a field named "constructor".
  const readers: Fields = Object.assign(Object.create(null), fields);
  const { fixed, asked } = absences(fields);
  return (value, at, key) => {
    const name = nameOf(at, key);
    const from = members({ value, at, key });
    const into = { ...fixed };
    // By number: an iterator would cost more than most of the readers.
    const given = Object.keys(from);
    for (let index = 0; index < given.length; index++) {
      const own = readers[given[index]!] === undefined ? inOurCase(fields, given[index]!) : given[index]!;
      if (own !== undefined) into[own] = readers[own]!(from[given[index]!], name, own);
    }
    for (let index = 0; index < asked.length; index++) {
      const own = asked[index]!;
      if (into[own] === undefined) into[own] = readers[own]!(undefined, name, own);
    }
    return into as { [Key in keyof F]: Read<F[Key]> };
  };
}

/** What fields become that the file does not have. Most have none of most fields, so those whose value is always the
 *  same are known beforehand; of the others (a new list, a refusal) the reader is asked each time. */
function absences(fields: Fields): { fixed: Record<string, unknown>; asked: string[] } {
  const fixed: Record<string, unknown> = {};
  const asked: string[] = [];
  for (const [name, reader] of Object.entries(fields)) {
    fixed[name] = fixedAbsence(reader);
    if (fixed[name] === undefined) asked.push(name);
  }
  return { fixed, asked };
}

function fixedAbsence(reader: Reader<unknown>): unknown {
  try {
    const value = reader(undefined, "");
    return typeof value === "object" && value !== null ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Go reads a field under its name in any case ("pagesize" for "pageSize"), and people's files rely on it. */
function inOurCase(fields: Fields, given: string): string | undefined {
  const lower = given.toLowerCase();
  return Object.keys(fields).find((name) => name.toLowerCase() === lower);
}

type Members = { [key: string]: Json };

function members({ value, at, key }: Refused): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse("an object", { value, at, key });
  }
  return value;
}
