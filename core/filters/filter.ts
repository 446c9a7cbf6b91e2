// containerd's filter expressions, as every List call of every service and Events.Subscribe take them.
//
//     labels."a.b"==x,kind!=view        a selector per comma, all must hold
//     topic~=|^/tasks/|                 a regular expression, quoted by any of " / |
//     labels.foo                        present (non-empty)
//
// A list of expressions holds when any one of them does; an empty list always holds. Portable: no I/O.

import { Failure } from "../../base/errors.ts";

/** The value at a field path (`["labels", "a.b"]`), or null when the object has no such field. */
export type FieldReader = (path: readonly string[]) => string | null;
export type Filter = (read: FieldReader) => boolean;

const EXPRESSION_LIMIT = 16 * 1024; // characters in one expression
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

export function parseFilters(expressions: readonly string[]): Filter {
  if (expressions.length === 0) return () => true;
  const filters = expressions.map((expression) => new FilterParser(expression).parse());
  return (read) => filters.some((filter) => filter(read));
}

/** Reads `labels.<key>` and the named fields: what most nouns need. */
export function fieldReader(
  fields: Readonly<Record<string, string | null>>,
  labels: Readonly<Record<string, string>> = {},
): FieldReader {
  return (path) => {
    if (path[0] === "labels") return path.length < 2 ? null : (labels[path.slice(1).join(".")] ?? null);
    return Object.hasOwn(fields, path.join(".")) ? (fields[path.join(".")] ?? null) : null;
  };
}

class FilterParser {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    if (text.length > EXPRESSION_LIMIT) throw new Failure("invalid_argument", "filter expression is too long");
    this.text = text;
  }

  parse(): Filter {
    if (this.text === "") return () => true;
    const selectors: Filter[] = [];
    for (;;) {
      selectors.push(this.selector());
      if (this.at === this.text.length) break;
      if (this.text[this.at] !== ",") this.fail("expected ','");
      this.at++;
    }
    return (read) => selectors.every((selector) => selector(read));
  }

  private selector(): Filter {
    const path = this.path();
    const operator = this.text.slice(this.at, this.at + 2);
    if (operator !== "==" && operator !== "!=" && operator !== "~=") {
      return (read) => (read(path) ?? "") !== "";
    }
    this.at += 2;
    const value = this.value(operator === "~=");
    if (operator === "==") return (read) => read(path) === value;
    if (operator === "!=") return (read) => read(path) !== value;
    const pattern = this.pattern(value);
    return (read) => {
      const found = read(path);
      return found !== null && pattern.test(found);
    };
  }

  private path(): string[] {
    const parts = [this.part()];
    while (this.text[this.at] === ".") {
      this.at++;
      parts.push(this.part());
    }
    return parts;
  }

  private part(): string {
    if (this.text[this.at] === '"') return this.quoted('"');
    const word = /^[A-Za-z0-9_]+/.exec(this.text.slice(this.at));
    if (word === null) this.fail("expected a field name");
    this.at += word[0].length;
    return word[0];
  }

  private value(pattern: boolean): string {
    const first = this.text[this.at];
    if (first === '"' || (pattern && (first === "/" || first === "|"))) return this.quoted(first);
    const word = /^[^,"|~=!\s]+/.exec(this.text.slice(this.at));
    if (word === null) this.fail("expected a value");
    this.at += word[0].length;
    return word[0];
  }

  /** In "…" the usual escapes hold; in /…/ and |…| only the quote itself is escaped, so patterns stay readable. */
  private quoted(quote: string): string {
    let value = "";
    for (this.at++; this.at < this.text.length; this.at++) {
      const letter = this.text[this.at]!;
      if (letter === quote) {
        this.at++;
        return value;
      }
      const next = this.text[this.at + 1];
      if (letter !== "\\" || next === undefined || (quote !== '"' && next !== quote)) value += letter;
      else {
        value += quote === '"' ? (ESCAPES[next] ?? next) : next;
        this.at++;
      }
    }
    this.fail(`missing closing ${quote}`);
  }

  private pattern(source: string): RegExp {
    try {
      return new RegExp(source);
    } catch (cause) {
      throw new Failure("invalid_argument", `filters: invalid pattern ${JSON.stringify(source)}`, { cause });
    }
  }

  private fail(reason: string): never {
    throw new Failure("invalid_argument", `filters: parse error: [${this.text} at ${this.at}]: ${reason}`);
  }
}
