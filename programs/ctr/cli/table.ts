// Go's text/tabwriter: cells end with a tab, a column is as wide as its widest cell in a run of lines that have it, and
// the text after a line's last tab is no cell. All tables and the help texts of ctr are aligned by it.

export interface TableStyle {
  /** Columns at least this wide. */
  readonly least: number;
  readonly padding: number;
  readonly pad: " " | "\t";
}

/** ctr's three styles of table, and the help's. */
export const WIDE: TableStyle = { least: 4, padding: 4, pad: " " };
export const NARROW: TableStyle = { least: 1, padding: 1, pad: " " };
export const TABBED: TableStyle = { least: 1, padding: 1, pad: "\t" };
export const HELP: TableStyle = { least: 1, padding: 2, pad: " " };

const TAB_WIDTH = 8; // columns

export function formatTable(text: string, style: TableStyle): string {
  const whole = text.endsWith("\n") ? text.slice(0, -1) : text;
  const lines = whole.split("\n").map((line) => line.split("\t"));
  const widths = lines.map((): number[] => []);
  measure(lines, widths, { column: 0, from: 0, to: lines.length, style });
  const out = lines.map((cells, row) => {
    const padded = cells.map((cell, column) => {
      const width = widths[row]![column];
      return width === undefined ? cell : cell + fill(cell, width, style);
    });
    return padded.join("");
  });
  return out.join("\n") + (text.endsWith("\n") ? "\n" : "");
}

interface Block {
  column: number;
  from: number;
  to: number;
  style: TableStyle;
}

function measure(lines: readonly string[][], widths: number[][], block: Block): void {
  const { column, to, style } = block;
  let row = block.from;
  while (row < to) {
    if (!hasCell(lines[row]!, column)) {
      row++;
      continue;
    }
    const start = row;
    let width = style.least;
    for (; row < to && hasCell(lines[row]!, column); row++) {
      width = Math.max(width, lengthOf(lines[row]![column]!) + style.padding);
    }
    for (let at = start; at < row; at++) widths[at]!.push(width);
    measure(lines, widths, { column: column + 1, from: start, to: row, style });
  }
}

function hasCell(cells: readonly string[], column: number): boolean {
  return column < cells.length - 1;
}

function fill(cell: string, width: number, style: TableStyle): string {
  const length = lengthOf(cell);
  if (style.pad === " ") return " ".repeat(width - length);
  const rounded = Math.ceil(width / TAB_WIDTH) * TAB_WIDTH;
  return "\t".repeat(Math.ceil((rounded - length) / TAB_WIDTH));
}

function lengthOf(cell: string): number {
  return [...cell].length;
}
