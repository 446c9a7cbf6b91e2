// The `filters` argument of list, prune and events calls: JSON of key to values, in the current form
// {"k":{"v":true}} or the old one {"k":["v"]}. An unknown key is a 400.

import { Failure } from "../../../../base/errors.ts";

export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  static parse(text: string, known: readonly string[]): Filters {
    const values = new Map<string, string[]>();
    if (text !== "") {
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch (cause) {
        throw new Failure("invalid_argument", `invalid filter: ${(cause as Error).message}`, { cause });
      }
      if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
        throw new Failure("invalid_argument", "invalid filter");
      }
      for (const [key, held] of Object.entries(parsed)) values.set(key, valuesOf(key, held));
    }
    for (const key of values.keys()) {
      if (!known.includes(key)) throw new Failure("invalid_argument", `invalid filter '${key}'`);
    }
    return new Filters(values);
  }

  get(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  has(key: string): boolean {
    return this.get(key).length > 0;
  }

  /** True without such a filter, else when one of its values is this. */
  exact(key: string, value: string): boolean {
    const wanted = this.get(key);
    return wanted.length === 0 || wanted.includes(value);
  }

  /** True without such a filter, else when one of its values fits. */
  some(key: string, fits: (wanted: string) => boolean): boolean {
    const wanted = this.get(key);
    return wanted.length === 0 || wanted.some(fits);
  }

  /** Every label named must be there, with its value when one is given. */
  labels(labels: Readonly<Record<string, string>>, key = "label"): boolean {
    return this.get(key).every((wanted) => hasLabel(labels, wanted));
  }

  /** For "label!": none of those named may be there. */
  withoutLabels(labels: Readonly<Record<string, string>>): boolean {
    return this.get("label!").every((wanted) => !hasLabel(labels, wanted));
  }

  /** A filter that is a boolean; null when absent. */
  flag(key: string): boolean | null {
    const value = this.get(key)[0]?.toLowerCase();
    if (value === undefined) return null;
    if (value === "1" || value === "true") return true;
    if (value === "0" || value === "false") return false;
    throw new Failure("invalid_argument", `invalid filter '${key}=[${this.get(key).join(" ")}]'`);
  }
}

function valuesOf(key: string, held: unknown): string[] {
  if (Array.isArray(held) && held.every((value) => typeof value === "string")) return held;
  if (typeof held === "object" && held !== null && !Array.isArray(held)) {
    return Object.entries(held)
      .filter(([, on]) => on === true)
      .map(([value]) => value);
  }
  throw new Failure("invalid_argument", `invalid filter '${key}'`);
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf("=");
  if (equals < 0) return wanted in labels;
  return labels[wanted.slice(0, equals)] === wanted.slice(equals + 1);
}
