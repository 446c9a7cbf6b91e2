// `runc list`.

import { Failure } from "../../../base/errors.ts";
import { listContainers } from "../../../container/list.ts";
import { door } from "../../../linux/door.ts";
import { writeAll } from "../../../linux/fd.ts";
import { type Command, print } from "../command.ts";

const COLUMN_MINIMUM = 12;
const COLUMN_GAP = 3;

export const list: Command = {
  name: "list",
  arguments: "",
  summary: "lists containers started by runc with the given root",
  run(line, { root }) {
    const format = line.flags.string("format", "f", "select one of: table or json", "table");
    const quiet = line.flags.bool("quiet", "q", "display only container IDs");
    line.parse(0, 0);
    const states = listContainers(root, (message) => writeAll(2, door().encode(`${message}\n`)));
    if (quiet.value) {
      print(states.map((state) => `${state.id}\n`).join(""));
      return 0;
    }
    if (format.value === "json") {
      const shown = states.map(({ annotations, owner, ...front }) =>
        Object.keys(annotations).length > 0 ? { ...front, annotations, owner } : { ...front, owner },
      );
      print(`${states.length === 0 ? "null" : JSON.stringify(shown)}\n`);
      return 0;
    }
    if (format.value !== "table") throw new Failure("invalid_argument", "invalid format option");
    const rows = states.map((state) => [
      state.id,
      String(state.pid),
      state.status,
      state.bundle,
      state.created,
      state.owner,
    ]);
    print(formatTable([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], ...rows]));
    return 0;
  },
};

function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]!.length;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(COLUMN_MINIMUM, ...rows.map((row) => row[column]!.length + COLUMN_GAP)),
  );
  const format = (row: readonly string[]) =>
    row.map((cell, column) => (column === columns - 1 ? cell : cell.padEnd(widths[column]!))).join("");
  return rows.map((row) => `${format(row)}\n`).join("");
}
