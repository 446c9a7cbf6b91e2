// The functions a template may call: Go's own, and the ones Docker adds.

import { quote } from "../flags/go.ts";
import { isFields, isMap, showJson, showPlainJson, showValue, sprintf, typeName } from "./print.ts";

/** Throws plain errors; the executor says where. */
export type TemplateFunction = (...args: unknown[]) => unknown;

export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === 0 || value === "" || value === 0n)
    return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isMap(value) || !(Object.getPrototypeOf(value) === Object.prototype) || Object.keys(value).length > 0;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`wrong type for value; expected string; got ${typeName(value)}`);
}

function compare(a: unknown, b: unknown): number {
  const bothNumbers = isNumber(a) && isNumber(b);
  if (!bothNumbers && (typeof a !== "string" || typeof b !== "string")) {
    throw new Error(typeof a === typeof b ? "invalid type for comparison" : "incompatible types for comparison");
  }
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || typeof value === "bigint";
}

function equal(a: unknown, b: unknown): boolean {
  if (a === null || b === null) return a === b;
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b);
  if (typeof a !== typeof b) throw new Error("incompatible types for comparison");
  if (typeof a === "object") throw new Error("non-comparable type");
  return a === b;
}

function index(value: unknown, ...keys: unknown[]): unknown {
  let at = value;
  for (const key of keys) {
    if (at === null || at === undefined) throw new Error("index of untyped nil");
    if (Array.isArray(at) || typeof at === "string") {
      const position = Number(key);
      if (!isNumber(key)) throw new Error(`cannot index slice/array with type ${typeName(key)}`);
      if (position < 0 || position >= at.length) throw new Error(`index out of range: ${position}`);
      at = typeof at === "string" ? at.charCodeAt(position) : at[position];
    } else if (isMap(at)) at = Object.hasOwn(at, String(key)) ? at[String(key)] : null;
    else throw new Error(`can't index item of type ${typeName(at)}`);
  }
  return at;
}

function slice(value: unknown, from: unknown = 0, to: unknown = null): unknown {
  if (typeof value !== "string" && !Array.isArray(value))
    throw new Error(`can't slice item of type ${typeName(value)}`);
  const end = to === null ? value.length : Number(to);
  for (const bound of [Number(from), end]) {
    if (bound < 0 || bound > value.length) throw new Error(`index out of range: ${bound}`);
  }
  return value.slice(Number(from), end);
}

function length(value: unknown): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  if (isMap(value)) return Object.keys(value).length;
  throw new Error(value === null ? "len of nil pointer" : `len of type ${typeName(value)}`);
}

function pad(value: unknown, before: unknown, after: unknown): string {
  const shown = text(value);
  return shown === "" ? shown : " ".repeat(Number(before)) + shown + " ".repeat(Number(after));
}

function truncate(value: unknown, most: unknown): string {
  if (Number(most) < 0) throw new Error(`runtime error: slice bounds out of range [:${most}]`);
  return [...text(value)].slice(0, Number(most)).join("");
}

/** Go's fmt.Sprint: a space between operands when neither is a string. */
function sprint(...values: unknown[]): string {
  let whole = "";
  values.forEach((value, at) => {
    const gap = at > 0 && typeof value !== "string" && typeof values[at - 1] !== "string";
    whole += (gap ? " " : "") + showValue(value);
  });
  return whole;
}

function urlQuery(value: string): string {
  return encodeURIComponent(value)
    .replace(/%20/g, "+")
    .replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };

export const FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  and: (...values) => values.find((value) => !isTrue(value)) ?? (values.every(isTrue) ? values.at(-1) : null),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  index,
  slice,
  len: length,
  print: sprint,
  printf: (format, ...args) => sprintf(text(format), args),
  println: (...args) => `${args.map(showValue).join(" ")}\n`,
  html: (...args) => sprint(...args).replace(/[&<>"']/g, (letter) => HTML[letter]!),
  js: (...args) => quote(sprint(...args)).slice(1, -1),
  urlquery: (...args) => urlQuery(sprint(...args)),
  call: (value, ...args) => (value as TemplateFunction)(...args),
  // A row marshals itself in the original, and by other means than the function.
  json: (value) => (isFields(value) && "toJSON" in value ? showJson(value) : showPlainJson(value)),
  split: (value, separator) => text(value).split(text(separator)),
  join: (list, separator) => {
    if (!Array.isArray(list)) throw new Error(`wrong type for value; expected []string; got ${typeName(list)}`);
    return list.map(showValue).join(text(separator));
  },
  title: (value) =>
    text(value).replace(
      /(^|[^\p{L}\p{N}_'])(\p{L})/gu,
      (_all, gap: string, letter: string) => gap + letter.toUpperCase(),
    ),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad,
  truncate,
};

/** How many arguments each takes: so many, or at least so many. */
export const ARGUMENTS: Readonly<Record<string, { count: number; more?: true }>> = {
  not: { count: 1 },
  eq: { count: 1, more: true },
  ne: { count: 2 },
  lt: { count: 2 },
  le: { count: 2 },
  gt: { count: 2 },
  ge: { count: 2 },
  index: { count: 1, more: true },
  slice: { count: 1, more: true },
  len: { count: 1 },
  printf: { count: 1, more: true },
  call: { count: 1, more: true },
  json: { count: 1 },
};

/** Go's types of the arguments of those that Docker adds, all of which they want. */
export const SIGNATURES: Readonly<Record<string, readonly ("string" | "int" | "[]string")[]>> = {
  split: ["string", "string"],
  join: ["[]string", "string"],
  title: ["string"],
  lower: ["string"],
  upper: ["string"],
  pad: ["string", "int", "int"],
  truncate: ["string", "int"],
};

export const FUNCTION_NAMES: ReadonlySet<string> = new Set(Object.keys(FUNCTIONS));
