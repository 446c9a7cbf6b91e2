// containerd-shim-runc-v2: the process between the daemon and a container's first process (see README.md).
//
//     daemon ──▶ shim start ──fork──▶ shim (serves, start.ts ▸ serve.ts) ──▶ runc ──▶ process
//                    └─▶ prints the socket's address and ends

import { Failure, messageOf } from "../../base/errors.ts";
import { FlagError, HelpRequested } from "../../base/flags/flagset.ts";
import { type Door, door } from "../../linux/door.ts";
import { writeAll } from "../../linux/fd.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";
import { adoptTask } from "./adopt.ts";
import { type CommandLine, parseCommandLine } from "./command-line.ts";
import { deleteTask } from "./delete.ts";
import { printInfo, versionText } from "./info.ts";
import { serve } from "./serve.ts";
import { startShim } from "./start.ts";

/** Go's flag package: what it cannot read is said with the usage and ends with 2. */
const EXIT_USAGE = 2;

export function main(given: Door): number | undefined {
  openDoor(given);
  const name = (given.args[0] ?? "").replace(/^.*\//, "");
  try {
    return act(given, parseCommandLine(given.args.slice(1)));
  } catch (thrown) {
    // The daemon reads both streams together, so this one line is all that may be said.
    writeAll(2, given.encode(`${name}: ${messageOf(thrown)}\n`));
    if (thrown instanceof HelpRequested) return 0;
    return thrown instanceof FlagError ? EXIT_USAGE : 1;
  }
}

function act(given: Door, command: CommandLine): number | undefined {
  if (command.version) {
    writeAll(1, door().encode(versionText(given.args[0] ?? "")));
    return 0;
  }
  if (command.info) return printInfo();
  if (command.namespace === "") throw new Failure("invalid_argument", "shim namespace cannot be empty");
  if (command.action === "start") return startShim(given, command);
  if (command.action === "adopt") return adoptTask(given, command);
  if (command.action === "delete") return deleteTask(given, command);
  if (command.action !== "") throw new Failure("invalid_argument", `unknown action ${command.action}`);
  return serve(given, command, null);
}
