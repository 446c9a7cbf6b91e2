// The kinds of values a flag can hold: how a text becomes a value, what help calls it, how its default is shown.

import {
  BadValue,
  formatGoDuration,
  parseGoBool,
  parseGoDuration,
  parseGoFloat,
  parseGoInt,
  parseGoUint,
  quote,
} from "./go.ts";

export interface FlagKind<Value> {
  /** The word in help; "" for switches. */
  readonly word: string;
  /** The value after this text was given; lists and maps add to `before`. Throws BadValue. */
  parse(text: string, before: Value, first: boolean): Value;
  /** What the flag means when no value is given; null when a value is required. */
  readonly bare: string | null;
  /** The default as help shows it; "" when there is nothing to show. */
  show(value: Value): string;
}

function simple<Value>(word: string, parse: (text: string) => Value, show: (value: Value) => string): FlagKind<Value> {
  return { word, bare: null, parse: (text) => parse(text), show };
}

export const BOOL: FlagKind<boolean> = {
  word: "",
  bare: "true",
  parse: (text) => parseGoBool(text),
  show: (value) => (value ? "true" : ""),
};
export const STRING = simple<string>(
  "string",
  (text) => text,
  (value) => (value === "" ? "" : quote(value)),
);
export const INT = simple<number>("int", (text) => parseGoInt(text), showNumber);
export const UINT = simple<number>("uint", (text) => parseGoUint(text), showNumber);
export const UINT16 = simple<number>("uint16", (text) => parseGoUint(text, 16), showNumber);
export const FLOAT = simple<number>("float", parseGoFloat, showNumber);
/** Nanoseconds. */
export const DURATION = simple<number>("duration", parseGoDuration, (value) =>
  value === 0 ? "" : formatGoDuration(value),
);

/** Each use adds one entry, whole (pflag's stringArray). `check` may refuse or rewrite it. */
export function listOf(check: (text: string) => string = (text) => text, word = "list"): FlagKind<string[]> {
  return {
    word,
    bare: null,
    parse: (text, before, first) => [...(first ? [] : before), check(text)],
    show: (value) => (value.length === 0 ? "" : `[${value.join(",")}]`),
  };
}

/** Entries may also stand in one text, separated by commas (pflag's stringSlice). */
export function commaList(word = "strings"): FlagKind<string[]> {
  const parse = (text: string, before: string[], first: boolean) => [...(first ? [] : before), ...splitCommas(text)];
  return { ...listOf((text) => text, word), parse };
}

/** Each use adds one `key=value`. */
export function mapOf(word = "map"): FlagKind<Map<string, string>> {
  return {
    word,
    bare: null,
    parse(text, before, first) {
      const equals = text.indexOf("=");
      const map = new Map(first ? [] : before);
      return map.set(equals < 0 ? text : text.slice(0, equals), equals < 0 ? "" : text.slice(equals + 1));
    },
    show: () => "",
  };
}

/** Values of its own form: each use is parsed and added. */
export function entries<Entry>(word: string, parse: (text: string) => Entry): FlagKind<Entry[]> {
  return {
    word,
    bare: null,
    parse: (text, before, first) => [...(first ? [] : before), parse(text)],
    show: () => "",
  };
}

/** One value of its own form. */
export function parsed<Value>(word: string, parse: (text: string) => Value): FlagKind<Value> {
  return simple(word, parse, (value) => (value === 0 || value === null ? "" : String(value)));
}

export function oneOf(word: string, allowed: readonly string[]): FlagKind<string> {
  return simple(
    word,
    (text) => {
      if (!allowed.includes(text)) throw new BadValue(`must be one of ${allowed.map(quote).join(", ")}`);
      return text;
    },
    (value) => (value === "" ? "" : quote(value)),
  );
}

/** Fields of one comma-separated record; a field may stand in double quotes, with doubled ones inside (Go's csv). */
export function splitCommas(text: string): string[] {
  if (!text.includes('"')) return text === "" ? [] : text.split(",");
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      const match = /^"((?:[^"]|"")*)"(?=,|$)/s.exec(text.slice(at));
      if (match === null)
        throw new BadValue(`parse error on line 1, column ${at + 1}: extraneous or missing " in quoted-field`);
      fields.push(match[1]!.replace(/""/g, '"'));
      at += match[0].length;
    } else {
      const comma = text.indexOf(",", at);
      const field = comma < 0 ? text.slice(at) : text.slice(at, comma);
      if (field.includes('"')) {
        const column = at + field.indexOf('"') + 1;
        throw new BadValue(`parse error on line 1, column ${column}: bare " in non-quoted-field`);
      }
      fields.push(field);
      at += field.length;
    }
    if (at >= text.length) return fields;
    at++;
  }
}

function showNumber(value: number): string {
  return value === 0 ? "" : String(value);
}
