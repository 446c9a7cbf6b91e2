// The part of TOML that configuration files of containerd use: tables, dotted and quoted names, strings, integers,
// booleans, arrays over several lines. Anything else is an error with its line, never a guess.

import { Failure } from "../../../base/errors.ts";

export type TomlValue = string | number | boolean | TomlValue[] | TomlTable;
export interface TomlTable {
  [key: string]: TomlValue;
}

const SIZE_LIMIT = 1 << 20; // characters
const ESCAPES: Readonly<Record<string, string>> = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\" };

export function parseToml(text: string, file: string): TomlTable {
  if (text.length > SIZE_LIMIT) throw new Failure("invalid_argument", `${file}: the file is too large`);
  return new TomlParser(text, file).parse();
}

class TomlParser {
  private readonly text: string;
  private readonly file: string;
  private at = 0;

  constructor(text: string, file: string) {
    this.text = text;
    this.file = file;
  }

  parse(): TomlTable {
    const root = emptyTable();
    let table = root;
    for (this.skipLines(); this.at < this.text.length; this.skipLines()) {
      if (this.text.startsWith("[[", this.at)) this.fail("arrays of tables are not supported");
      if (this.text[this.at] === "[") {
        this.at++;
        this.skipBlanks();
        table = this.tableAt(root, this.key());
        this.expect("]");
      } else this.assignment(table);
      this.endOfLine();
    }
    return root;
  }

  private assignment(table: TomlTable): void {
    const path = this.key();
    this.expect("=");
    this.skipBlanks();
    const value = this.value();
    const holder = this.tableAt(table, path.slice(0, -1));
    const name = path.at(-1)!;
    if (Object.hasOwn(holder, name)) this.fail(`${path.join(".")} is set twice`);
    holder[name] = value;
  }

  private tableAt(from: TomlTable, path: readonly string[]): TomlTable {
    let table = from;
    for (const name of path) {
      if (!Object.hasOwn(table, name)) table[name] = emptyTable();
      const next = table[name];
      if (typeof next !== "object" || Array.isArray(next)) this.fail(`${path.join(".")} is no table`);
      table = next;
    }
    return table;
  }

  private key(): string[] {
    const path: string[] = [];
    for (;;) {
      this.skipBlanks();
      const quote = this.text[this.at];
      if (quote === '"' || quote === "'") path.push(this.string(quote));
      else {
        const bare = /^[A-Za-z0-9_-]+/.exec(this.text.slice(this.at, this.at + 256));
        if (bare === null) this.fail("a name is expected");
        path.push(bare[0]);
        this.at += bare[0].length;
      }
      this.skipBlanks();
      if (this.text[this.at] !== ".") return path;
      this.at++;
    }
  }

  private value(): TomlValue {
    const first = this.text[this.at];
    if (first === '"' || first === "'") {
      if (this.text.startsWith(first.repeat(3), this.at)) this.fail("strings over several lines are not supported");
      return this.string(first);
    }
    if (first === "[") return this.array();
    const word = /^[A-Za-z0-9_+-]+/.exec(this.text.slice(this.at, this.at + 64))?.[0] ?? "";
    this.at += word.length;
    if (word === "true" || word === "false") return word === "true";
    if (/^[+-]?\d[\d_]*$/.test(word)) return Number(word.replaceAll("_", ""));
    return this.fail("a string, an integer, true, false or an array is expected");
  }

  private array(): TomlValue[] {
    const values: TomlValue[] = [];
    this.at++;
    for (this.skipLines(); this.text[this.at] !== "]"; this.skipLines()) {
      values.push(this.value());
      this.skipLines();
      if (this.text[this.at] === ",") this.at++;
      else if (this.text[this.at] !== "]") this.fail("',' or ']' is expected");
    }
    this.at++;
    return values;
  }

  private string(quote: string): string {
    let value = "";
    for (this.at++; this.at < this.text.length && this.text[this.at] !== "\n"; this.at++) {
      const letter = this.text[this.at]!;
      if (letter === quote) {
        this.at++;
        return value;
      }
      if (letter !== "\\" || quote === "'") value += letter;
      else value += this.escape();
    }
    return this.fail(`a string has no closing ${quote}`);
  }

  private escape(): string {
    this.at++;
    const letter = this.text[this.at] ?? "";
    if (ESCAPES[letter] !== undefined) return ESCAPES[letter];
    const digits = letter === "u" ? this.text.slice(this.at + 1, this.at + 5) : "";
    if (!/^[0-9A-Fa-f]{4}$/.test(digits)) this.fail(`unknown escape \\${letter}`);
    this.at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  private expect(letter: string): void {
    this.skipBlanks();
    if (this.text[this.at] !== letter) this.fail(`'${letter}' is expected`);
    this.at++;
  }

  private endOfLine(): void {
    this.skipBlanks();
    if (this.text[this.at] === "#") this.skipComment();
    if (this.at < this.text.length && !/[\r\n]/.test(this.text[this.at]!)) this.fail("the line should end here");
  }

  private skipBlanks(): void {
    while (this.text[this.at] === " " || this.text[this.at] === "\t") this.at++;
  }

  private skipComment(): void {
    while (this.at < this.text.length && this.text[this.at] !== "\n") this.at++;
  }

  private skipLines(): void {
    for (;;) {
      while (/[ \t\r\n]/.test(this.text[this.at] ?? "")) this.at++;
      if (this.text[this.at] !== "#") return;
      this.skipComment();
    }
  }

  private fail(reason: string): never {
    const line = this.text.slice(0, this.at).split("\n").length;
    throw new Failure("invalid_argument", `${this.file}:${line}: ${reason}`);
  }
}

/** Without a prototype: a file may name a key `__proto__`. */
function emptyTable(): TomlTable {
  return Object.create(null) as TomlTable;
}
