// The block of flag lines in help: names, what each takes, what it does, its default; wrapped to a width.

import type { FlagEntry } from "./flagset.ts";

/** Lines in the pflag form, sorted by name, wrapped to `width` columns. Ends with a line feed unless empty. */
export function formatFlagUsage(entries: readonly FlagEntry[], width: number): string {
  const shown = entries.filter((entry) => entry.options.hidden !== true && entry.options.deprecated === undefined);
  const lines = [...shown]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry): [string, string] => {
      const names = entry.short === "" ? `      --${entry.name}` : `  -${entry.short}, --${entry.name}`;
      const word = entry.word === "" ? "" : ` ${entry.word}`;
      const fallback = entry.shown === "" ? "" : ` (default ${entry.shown})`;
      return [names + word, entry.usage + fallback];
    });
  const column = lines.reduce((most, [left]) => Math.max(most, left.length), 0) + 3;
  return lines.map(([left, right]) => `${left.padEnd(column)}${wrap(right, column, width)}\n`).join("");
}

/** Breaks at spaces so that no line goes beyond `width`; further lines are indented to `column`. */
export function wrap(text: string, column: number, width: number): string {
  const room = Math.max(width - column, 24);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${" ".repeat(column)}`);
}
