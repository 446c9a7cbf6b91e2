// The header lines of one message, in order, with names compared without case. Values are kept as they came:
// text with surrogate escapes for bytes that are no UTF-8 (base/bytes.ts), so nothing is lost in passing.

export type HeaderLine = readonly [name: string, value: string];

export class HeaderList {
  readonly #lines: [name: string, value: string][] = [];

  constructor(lines: Iterable<HeaderLine> = []) {
    for (const [name, value] of lines) this.add(name, value);
  }

  /** The first value of that name, or null. */
  get(name: string): string | null {
    const key = name.toLowerCase();
    for (const line of this.#lines) if (line[0].toLowerCase() === key) return line[1];
    return null;
  }

  all(name: string): string[] {
    const key = name.toLowerCase();
    return this.#lines.filter((line) => line[0].toLowerCase() === key).map((line) => line[1]);
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  add(name: string, value: string): void {
    this.#lines.push([name, value]);
  }

  /** Replaces all lines of that name by one. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    const key = name.toLowerCase();
    for (let at = this.#lines.length - 1; at >= 0; at--) {
      if (this.#lines[at]![0].toLowerCase() === key) this.#lines.splice(at, 1);
    }
  }

  /** Whether a comma-separated header such as Connection holds the token. */
  hasToken(name: string, token: string): boolean {
    return this.all(name).some((value) => value.split(",").some((part) => part.trim().toLowerCase() === token));
  }

  get size(): number {
    return this.#lines.length;
  }

  [Symbol.iterator](): Iterator<HeaderLine> {
    return this.#lines[Symbol.iterator]();
  }
}
