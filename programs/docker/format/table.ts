// Tables as Docker lays them out: columns at least ten wide, three spaces apart, the last one unpadded (Go's tabwriter
// with minwidth 10, tabwidth 1, padding 3).

const LEAST_WIDTH = 10;
const PADDING = 3;

export interface TableLayout {
  least?: number;
  padding?: number;
}

/** `text` holds lines whose cells are ended by tabs. Cells of one column in adjoining lines get one width. */
export function alignTabs(text: string, layout: TableLayout = {}): string {
  const least = layout.least ?? LEAST_WIDTH;
  const padding = layout.padding ?? PADDING;
  const lines = text.split("\n").map((line) => line.split("\t"));
  const widths: number[][] = lines.map(() => []);
  const columns = lines.reduce((most, cells) => Math.max(most, cells.length - 1), 0);
  for (let column = 0; column < columns; column++) {
    for (let from = 0; from < lines.length; from++) {
      if (lines[from]!.length - 1 <= column) continue;
      let to = from;
      let width = 0;
      for (; to < lines.length && lines[to]!.length - 1 > column; to++) {
        width = Math.max(width, [...lines[to]![column]!].length);
      }
      const padded = width === 0 && least === 0 ? 0 : Math.max(width + padding, least);
      for (let line = from; line < to; line++) widths[line]![column] = padded;
      from = to;
    }
  }
  return lines
    .map((cells, line) => cells.map((cell, column) => padCell(cell, widths[line]![column])).join(""))
    .join("\n");
}

function padCell(cell: string, width: number | undefined): string {
  return width === undefined ? cell : cell + " ".repeat(Math.max(0, width - [...cell].length));
}
