// Lists as --format asks for them: a table, a table of chosen fields, one JSON object per line, or any template.

import { type Fields, Template } from "../../../base/template/executor.ts";
import { TemplateError } from "../../../base/template/lexer.ts";
import { showJson } from "../../../base/template/print.ts";
import { ExitStatus } from "../failure.ts";
import { alignTabs } from "./table.ts";

/** What a kind of row can show. A field that takes an argument (Label) gives a function and is left out of JSON. */
export interface RowKind<Item> {
  /** The original's name of it, for complaints. */
  goType: string;
  /** Titles of columns; fields without one have none. */
  titles: Readonly<Record<string, string>>;
  fields: Readonly<Record<string, (item: Item) => unknown>>;
}

export interface RowFormat {
  /** As given by --format or the configuration; "" for the default. */
  format: string;
  /** The default table's template, without the word "table". */
  table: string;
  /** With -q: the one field that is shown, unless a format was given. */
  quiet?: string | null;
}

export function renderRows<Item>(kind: RowKind<Item>, items: readonly Item[], format: RowFormat): string {
  const chosen = format.format.trim();
  if (format.quiet && (chosen === "" || chosen === "table")) return renderLines(kind, items, `{{.${format.quiet}}}`);
  if (chosen === "" || chosen === "table") return renderTable(kind, items, format.table);
  if (chosen.startsWith("table ")) return renderTable(kind, items, unescapeTabs(chosen.slice("table ".length).trim()));
  if (chosen === "json") return items.map((item) => `${showJson(rowJson(kind, item))}\n`).join("");
  return renderLines(kind, items, unescapeTabs(chosen));
}

/** The value a template sees for one row. */
export function rowOf<Item>(kind: RowKind<Item>, item: Item): Fields {
  return { goType: kind.goType, field: (name) => kind.fields[name]?.(item) };
}

function rowJson<Item>(kind: RowKind<Item>, item: Item): Record<string, unknown> {
  const values = Object.entries(kind.fields).map(([name, field]) => [name, field(item)] as const);
  return Object.fromEntries(values.filter(([, value]) => typeof value !== "function"));
}

function renderLines<Item>(kind: RowKind<Item>, items: readonly Item[], template: string): string {
  const parsed = parse(template);
  return items.map((item) => `${execute(parsed, jsonAware(kind, item))}\n`).join("");
}

/** `{{json .}}` shows the whole row. */
function jsonAware<Item>(kind: RowKind<Item>, item: Item): Fields {
  const row = rowOf(kind, item);
  return Object.defineProperty(row, "toJSON", { value: () => rowJson(kind, item), enumerable: false }) as Fields;
}

function renderTable<Item>(kind: RowKind<Item>, items: readonly Item[], template: string): string {
  const parsed = parse(template);
  const header = execute(new Template(template, { plainFunctions: true }), {
    goType: kind.goType,
    field: (name: string) => kind.titles[name] ?? (name in kind.fields ? "" : undefined),
  });
  const rows = items.map((item) => execute(parsed, jsonAware(kind, item)));
  return `${alignTabs([header, ...rows].join("\n"))}\n`;
}

function parse(template: string): Template {
  try {
    return new Template(template);
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new ExitStatus(1, `failed to parse template: ${thrown.message}`);
    throw thrown;
  }
}

function execute(template: Template, data: unknown): string {
  try {
    return template.execute(data);
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new ExitStatus(1, `failed to execute template: ${thrown.message}`);
    throw thrown;
  }
}

function unescapeTabs(format: string): string {
  return format.replace(/\\t/g, "\t").replace(/\\n/g, "\n");
}

/** "a=b,c=d", sorted by key. */
export function joinMap(map: Readonly<Record<string, string>> | null | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** Cuts to `most` characters with an ellipsis as the last of them. */
export function ellipsis(text: string, most: number): string {
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}

/** Twelve digits of an id, without the name of its algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}
