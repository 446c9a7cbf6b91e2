// Looking a word from outside up in a table: `table[word]` would also find what every object inherits, so that
// "constructor" or "toString" in a file passed for a known word.

/** Undefined for what the table itself does not have. */
export function lookUp<Value>(table: Readonly<Record<string, Value>>, word: string): Value | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}
