// Values as Go's fmt shows them: %v and its kin over JSON values.

import { quote } from "../flags/go.ts";
import { formatJson, type Json } from "../json.ts";

export function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A value whose fields are asked for by name. */
export interface Fields {
  readonly goType: string;
  /** Undefined when there is no such field. */
  field(name: string): unknown;
}

export function isFields(value: unknown): value is Fields {
  return isMap(value) && typeof value["field"] === "function" && typeof value["goType"] === "string";
}

/** A value of a type with a text of its own, which differs from its JSON; it has no fields. */
export class Shown {
  readonly text: string;
  readonly json: unknown;
  readonly goType: string;

  constructor(text: string, json: unknown, goType = "string") {
    this.text = text;
    this.json = json;
    this.goType = goType;
  }

  toJSON(): unknown {
    return this.json;
  }
}

/** %v. At the top of an output null is "<no value>", which the caller decides. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (value instanceof Shown) return value.text;
  if (Array.isArray(value)) return `[${value.map(showValue).join(" ")}]`;
  if (isMap(value)) {
    const keys = Object.keys(value).sort();
    return `map[${keys.map((key) => `${key}:${showValue(value[key])}`).join(" ")}]`;
  }
  return typeof value === "number" ? showNumber(value) : String(value);
}

function showNumber(value: number): string {
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

/** encoding/json of a value: keys of maps sorted, and < > & escaped. */
export function showJson(value: unknown): string {
  return showPlainJson(value).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The same, with nothing escaped: what the function json gives. */
export function showPlainJson(value: unknown): string {
  return formatJson(sorted(value) as Json);
}

function sorted(given: unknown): unknown {
  const value = isMap(given) && typeof given["toJSON"] === "function" ? given["toJSON"]() : given;
  if (Array.isArray(value)) return value.map(sorted);
  if (!isMap(value)) return value ?? null;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

/** fmt.Sprintf for the verbs templates use. */
export function sprintf(format: string, args: readonly unknown[]): string {
  let used = 0;
  const text = format.replace(
    /%([-+# 0]*)(\*|\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_all, flags: string, width, precision, verb) => {
      if (verb === "%") return "%";
      const room = width === "*" ? Number(args[used++]) : Number(width ?? 0);
      if (used >= args.length) return `%!${verb}(MISSING)`;
      const shown = showVerb(verb as string, args[used++], {
        flags,
        precision: precision === undefined ? null : Number(precision),
      });
      if (flags.includes("-")) return shown.padEnd(room);
      return flags.includes("0") && /[dfxXeg]/.test(verb as string) ? shown.padStart(room, "0") : shown.padStart(room);
    },
  );
  if (used >= args.length) return text;
  const extra = args.slice(used).map((arg) => `${typeName(arg)}=${showValue(arg)}`);
  return `${text}%!(EXTRA ${extra.join(", ")})`;
}

function showVerb(verb: string, value: unknown, style: { flags: string; precision: number | null }): string {
  const isNumber = typeof value === "number" || typeof value === "bigint";
  switch (verb) {
    case "v":
      return showValue(value);
    case "s":
      if (isNumber || typeof value === "boolean") break;
      return style.precision === null ? showValue(value) : showValue(value).slice(0, style.precision);
    case "q":
      if (typeof value === "string") return quote(value);
      break;
    case "d":
      if (isNumber) return (style.flags.includes("+") && Number(value) >= 0 ? "+" : "") + String(value);
      break;
    case "x":
    case "X": {
      if (!isNumber) break;
      const digits = value.toString(16);
      return verb === "X" ? digits.toUpperCase() : digits;
    }
    case "f":
      if (isNumber) return Number(value).toFixed(style.precision ?? 6);
      break;
    case "e":
    case "g":
      if (isNumber) return showNumber(Number(value));
      break;
    case "t":
      if (typeof value === "boolean") return String(value);
      break;
    case "T":
      return typeName(value);
  }
  return `%!${verb}(${typeName(value)}=${showValue(value)})`;
}

export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (value instanceof Shown) return value.goType;
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int64";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}
