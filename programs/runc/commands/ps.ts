// `runc ps`: the container's processes, in the words of the host's ps.

import { Failure } from "../../../base/errors.ts";
import { pidsAsJson, processesOf } from "../../../container/processes.ts";
import { loadContainer } from "../../../container/state.ts";
import { door } from "../../../linux/door.ts";
import * as fs from "../../../linux/fd.ts";
import { outputOf } from "../../../linux/output.ts";
import { type Command, print } from "../command.ts";

export const ps: Command = {
  name: "ps",
  arguments: "<container-id> [ps options]",
  keepsOrder: true,
  summary: "ps displays the processes running inside a container",
  run(line, { root, variable }) {
    const format = line.flags.string("format", "f", "select one of: table or json", "table");
    const [id, ...options] = line.parse(1, Number.POSITIVE_INFINITY);
    const pids = processesOf(loadContainer(root, id!));
    if (format.value === "json") {
      print(pidsAsJson(pids));
      return 0;
    }
    if (format.value !== "table") throw new Failure("invalid_argument", "invalid format option");
    print(filterTable(runPs(options.length > 0 ? options : ["-ef"], variable("PATH") ?? ""), pids));
    return 0;
  },
};

function runPs(options: readonly string[], path: string): string {
  const program = path
    .split(":")
    .map((directory) => `${directory}/ps`)
    .find((candidate) => fs.stat(candidate) !== null);
  if (program === undefined) throw new Failure("not_found", 'exec: "ps": executable file not found in $PATH');
  const { text, ended } = outputOf({ program, args: ["ps", ...options], env: door().env, limit: fs.FILE_LIMIT });
  if (ended !== null && ended.code !== 0) throw new Failure("unknown", `exit status ${ended.code}: ${text}`);
  return text;
}

/** The title line, and those lines whose PID column names one of ours. */
function filterTable(text: string, pids: readonly number[]): string {
  const [title = "", ...lines] = text.trimEnd().split("\n");
  const column = title.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw new Failure("invalid_argument", "couldn't find PID field in ps output");
  const wanted = new Set(pids.map(String));
  const ours = lines.filter((entry) => wanted.has(entry.trim().split(/\s+/)[column] ?? ""));
  return [title, ...ours].map((entry) => `${entry}\n`).join("");
}
