// runc's command line. Everything it does is in container/; here are words, flags and exit codes.
//
//     runc [global options] command [command options] [arguments]

import { messageOf } from "../../base/errors.ts";
import { FlagError, FlagSet, HelpRequested } from "../../base/flags/flagset.ts";
import { lookUp } from "../../base/lookup.ts";
import { checkSystemd } from "../../container/detached.ts";
import { DEFAULT_ROOT } from "../../container/layout.ts";
import type { Door } from "../../linux/door.ts";
import { environment, variable } from "../../linux/environment.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";
import { absolute, type Command, type Context, formatFlags, Line, print } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { Log } from "./log.ts";
import { usualRoot } from "./root.ts";
import { versionText } from "./version.ts";

const EXIT_UNKNOWN_COMMAND = 3;

export function main(door: Door): number {
  openDoor(door);
  const flags = new FlagSet("go");
  const globals = defineGlobals(flags);
  let rest: string[];
  try {
    rest = flags.parse(door.args.slice(1));
  } catch (thrown) {
    if (thrown instanceof HelpRequested) return help(flags);
    print(`Incorrect Usage. ${messageOf(thrown)}\n\n`);
    help(flags);
    new Log("", { json: false, debug: false }).fatal(messageOf(thrown));
    return 1;
  }
  if (globals.version.value) {
    print(versionText());
    return 0;
  }
  const [name, ...args] = rest;
  if (name === undefined || name === "help" || name === "h") return help(flags);
  let log = new Log("", { json: globals.logFormat.value === "json", debug: globals.debug.value });
  try {
    log = new Log(globals.log.value, { json: checkedFormat(globals.logFormat.value), debug: globals.debug.value });
    checkSystemd({ systemd: globals.systemd.value });
    const root = globals.root.changed ? absolute(globals.root.value) : usualRoot(variable);
    const given = { debug: globals.debug.value, rootless: globals.rootless.value, systemd: globals.systemd.value };
    return dispatch(name, args, { log, root, variable, environment, ...given });
  } catch (thrown) {
    log.fatal(messageOf(thrown));
    return 1;
  }
}

function dispatch(name: string, args: readonly string[], context: Context): number {
  const command: Command | undefined = lookUp(COMMANDS, name);
  if (command === undefined) {
    context.log.fatal(`No help topic for '${name}'\n`);
    return EXIT_UNKNOWN_COMMAND;
  }
  try {
    return command.run(new Line(command, args), context);
  } catch (thrown) {
    if (thrown instanceof HelpRequested) return 0;
    context.log.fatal(messageOf(thrown));
    return command.failure ?? 1;
  }
}

function defineGlobals(flags: FlagSet) {
  return {
    debug: flags.bool("debug", "", "enable debug logging"),
    log: flags.string("log", "", "set the log file to write runc logs to (default is '/dev/stderr')"),
    logFormat: flags.string("log-format", "", "set the log format ('text' (default), or 'json')", "text"),
    root: flags.string("root", "", "root directory for storage of container state", DEFAULT_ROOT),
    criu: flags.string("criu", "", "ignored"),
    systemd: flags.bool(
      "systemd-cgroup",
      "",
      'enable systemd cgroup support, expects cgroupsPath to be of form "slice:prefix:name"',
    ),
    rootless: flags.string("rootless", "", "ignore cgroup permission errors ('true', 'false', or 'auto')", "auto"),
    version: flags.bool("version", "v", "print the version"),
  };
}

function checkedFormat(format: string): boolean {
  if (format !== "json" && format !== "text") throw new FlagError(`invalid log-format: ${format}`);
  return format === "json";
}

function help(flags: FlagSet): number {
  const commands = Object.values(COMMANDS).map((command) => `   ${command.name.padEnd(10)}  ${command.summary}\n`);
  print(
    "NAME:\n   runc - Open Container Initiative runtime\n\n" +
      "USAGE:\n   runc [global options] command [command options] [arguments...]\n\n" +
      `VERSION:\n   ${versionText()
        .replace(/^runc version /, "")
        .trimEnd()
        .split("\n")
        .join("\n   ")}\n\n` +
      `COMMANDS:\n${commands.join("")}\nGLOBAL OPTIONS:\n${formatFlags(flags.entries)}`,
  );
  return 0;
}
