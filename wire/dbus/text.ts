// D-Bus values written as text, in GVariant's notation: what stands in an annotation `org.systemd.property.NAME`.
//
//     true   5   uint64 5   -1.5   'text'   b'bytes'   [1, 2]   {'key': <'value'>}   @as []   objectpath '/a'
//
// A number without a type is an int32 or, with a point or exponent, a double; a list has the type of its first element
// that has one. Tuples and "nothing" are no values of D-Bus properties.

import { encodeUtf8 } from "../../base/bytes.ts";
import { type DbusValue, endOfType, type Variant } from "./value.ts";

const WORDS: Readonly<Record<string, string>> = {
  ...{ boolean: "b", byte: "y", int16: "n", uint16: "q", int32: "i", uint32: "u", int64: "x", uint64: "t" },
  ...{ double: "d", string: "s", objectpath: "o", signature: "g" },
};
const ESCAPES: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", "\n": "" };
/** Smallest and largest. */
const BOUNDS: Readonly<Record<string, readonly [bigint, bigint]>> = {
  y: [0n, 0xffn],
  n: [-0x8000n, 0x7fffn],
  q: [0n, 0xffffn],
  i: [-0x80000000n, 0x7fffffffn],
  u: [0n, 0xffffffffn],
  x: [-(1n << 63n), (1n << 63n) - 1n],
  t: [0n, (1n << 64n) - 1n],
};

/** Throws an Error with a sentence for what is no such text. */
export function parseVariant(text: string): Variant {
  const parser = new Parser(text);
  const variant = parser.value(null);
  parser.end();
  return variant;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next of these characters or words, after white space. */
  #skip(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #peek(): string {
    this.#skip();
    return this.#text[this.#at] ?? "";
  }

  #takeIf(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#takeIf(character)) throw this.#unexpected();
  }

  #unexpected(): Error {
    const rest = this.#text.slice(this.#at, this.#at + 16);
    return new Error(rest === "" ? "unexpected EOF" : `unexpected ${JSON.stringify(rest)}`);
  }

  end(): void {
    if (this.#peek() !== "") throw this.#unexpected();
  }

  value(type: string | null): Variant {
    const next = this.#peek();
    if (next === "@") return this.#typed();
    if (next === "[") return this.#list(type);
    if (next === "{") return this.#dictionary(type);
    if (next === "<") return this.#variant(type);
    if (next === "'" || next === '"') return this.#string(type);
    if (next === "b" && /['"]/.test(this.#text[this.#at + 1] ?? "")) return this.#bytes(type);
    const word = /^[\w.+-]+/.exec(this.#text.slice(this.#at))?.[0];
    if (word === undefined) throw this.#unexpected();
    this.#at += word.length;
    const named = WORDS[word];
    if (named !== undefined) return this.value(agreed(type, named));
    if (word === "true" || word === "false") return { signature: agreed(type, "b"), value: word === "true" };
    return numberOf(word, type);
  }

  #typed(): Variant {
    this.#at++;
    const signature = /^[a-z(){}]+/.exec(this.#text.slice(this.#at))?.[0] ?? "";
    if (signature === "" || endOfType(signature, 0) !== signature.length) throw this.#unexpected();
    this.#at += signature.length;
    return this.value(signature);
  }

  #variant(type: string | null): Variant {
    this.#expect("<");
    const value = this.value(null);
    this.#expect(">");
    return { signature: agreed(type, "v"), value };
  }

  #list(type: string | null): Variant {
    if (type !== null && type[0] !== "a") throw wrongType("a list", type);
    this.#expect("[");
    let element = type?.slice(1) ?? null;
    const values: DbusValue[] = [];
    while (!this.#takeIf("]")) {
      if (values.length > 0) this.#expect(",");
      const { signature, value } = this.value(element);
      element ??= signature;
      values.push(value);
    }
    if (element === null) throw new Error(`can't infer type for "[]"`);
    return { signature: `a${element}`, value: element === "y" ? Uint8Array.from(values as number[]) : values };
  }

  #dictionary(type: string | null): Variant {
    if (type !== null && !/^a\{.+\}$/.test(type)) throw wrongType("a dictionary", type);
    this.#expect("{");
    let [key, held] = type === null ? [null, null] : [type[2]!, type.slice(3, -1)];
    const values: DbusValue[] = [];
    while (!this.#takeIf("}")) {
      if (values.length > 0) this.#expect(",");
      const name = this.value(key);
      this.#expect(":");
      const part = this.value(held);
      key ??= name.signature;
      held ??= part.signature;
      values.push([name.value, part.value]);
    }
    if (key === null || held === null) throw new Error(`can't infer type for "{}"`);
    return { signature: `a{${key}${held}}`, value: values };
  }

  #string(type: string | null): Variant {
    if (type !== null && !"sog".includes(type)) throw wrongType("a string", type);
    const quote = this.#text[this.#at++]!;
    let text = "";
    for (;;) {
      const letter = this.#text[this.#at++];
      if (letter === undefined) throw new Error("unexpected EOF");
      if (letter === quote) return { signature: type ?? "s", value: text };
      text += letter === "\\" ? this.#escape() : letter;
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? "";
    const digits = letter === "u" ? 4 : letter === "U" ? 8 : 0;
    if (digits === 0) return ESCAPES[letter] ?? letter;
    const code = this.#text.slice(this.#at, this.#at + digits);
    if (code.length < digits || !/^[\da-f]+$/i.test(code)) throw new Error("short unicode escape");
    this.#at += digits;
    return String.fromCodePoint(Number.parseInt(code, 16));
  }

  /** b'text': bytes with a zero at the end. */
  #bytes(type: string | null): Variant {
    this.#at++;
    const signature = agreed(type, "ay");
    const quote = this.#text[this.#at++]!;
    const bytes: number[] = [];
    for (;;) {
      const letter = this.#text[this.#at++];
      if (letter === undefined) throw new Error("unexpected EOF");
      if (letter === quote) return { signature, value: Uint8Array.from([...bytes, 0]) };
      if (letter !== "\\") bytes.push(...encodeUtf8(letter));
      else bytes.push(...this.#byteEscape());
    }
  }

  #byteEscape(): Uint8Array | number[] {
    const hex = /^x([\da-f]{2})/i.exec(this.#text.slice(this.#at, this.#at + 3));
    const octal = /^0([0-7]{3})/.exec(this.#text.slice(this.#at, this.#at + 4));
    const found = hex ?? octal;
    if (found === null) return encodeUtf8(this.#escape());
    this.#at += found[0].length;
    return [Number.parseInt(found[1]!, hex === null ? 8 : 16) & 0xff];
  }
}

function wrongType(what: string, type: string): Error {
  return new Error(`can't parse ${what} as type ${JSON.stringify(type)}`);
}

function agreed(wanted: string | null, found: string): string {
  if (wanted !== null && wanted !== found) throw wrongType(`a value of type ${JSON.stringify(found)}`, wanted);
  return found;
}

function numberOf(word: string, type: string | null): Variant {
  const fraction = !/^[+-]?0x/i.test(word) && /[.eE]/.test(word);
  const signature = type ?? (fraction ? "d" : "i");
  if (signature === "d") {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word)) throw new Error(`unexpected ${JSON.stringify(word)}`);
    return { signature, value: Number(word) };
  }
  const bounds = BOUNDS[signature];
  if (bounds === undefined) throw wrongType("a number", signature);
  const parts = /^([+-]?)(0x[\da-f]+|\d+)$/i.exec(word);
  if (parts === null) throw new Error(`unexpected ${JSON.stringify(word)}`);
  const digits = /^0\d/.test(parts[2]!) ? `0o${parts[2]!.slice(1)}` : parts[2]!;
  const whole = BigInt(digits) * (parts[1] === "-" ? -1n : 1n);
  if (whole < bounds[0] || whole > bounds[1]) throw new Error(`${word}: value out of range`);
  return { signature, value: signature === "x" || signature === "t" ? whole : Number(whole) };
}
