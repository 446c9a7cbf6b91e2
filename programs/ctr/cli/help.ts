// Help in the form the original's command line library gives it, down to the trailing blanks.

import { formatGoDuration } from "../../../base/flags/go.ts";
import type { Command } from "./command.ts";
import { type FlagSpec, namesOf } from "./flag.ts";
import { formatTable, HELP } from "./table.ts";
import { VERSION } from "./version.ts";

const HELP_FLAG: FlagSpec = { names: "help, h", type: "bool", usage: "show help" };
const VERSION_FLAG: FlagSpec = { names: "version, v", type: "bool", usage: "print the version" };

const LOGO = `
        __
  _____/ /______
 / ___/ __/ ___/
/ /__/ /_/ /
\\___/\\__/_/

containerd CLI
`;

export const DESCRIPTION = `
ctr is an unsupported debug and administrative client for interacting
with the containerd daemon. Because it is unsupported, the commands,
options, and operations are not guaranteed to be backward compatible or
stable from release to release of the containerd project.`;

/** `path` is "ctr images list". */
export function commandHelp(path: string, command: Command): string {
  const flags = command.flags ?? [];
  if (command.commands !== undefined) return groupHelp(path, command);
  const takes = command.argsUsage ?? "[arguments...]";
  const lines = ["NAME:", `   ${path} - ${command.usage}`, "", "USAGE:"];
  lines.push(`   ${path}${flags.length > 0 ? " [command options]" : ""} ${takes}`);
  if (command.description !== undefined) lines.push("", "DESCRIPTION:", `   ${command.description}`);
  return formatTable(`${lines.join("\n")}\n${options("OPTIONS", flags)}`, HELP);
}

function groupHelp(path: string, group: Command): string {
  const flags = [...(group.flags ?? []), HELP_FLAG];
  const lines = ["NAME:", `   ${path} - ${group.usage}`, "", "USAGE:"];
  lines.push(`   ${path} command [command options] [arguments...]`, "", "COMMANDS:", ...commandLines(group.commands!));
  return formatTable(`${lines.join("\n")}\n${options("OPTIONS", flags)}`, HELP);
}

export function programHelp(commands: readonly Pick<Command, "names" | "usage">[], flags: readonly FlagSpec[]): string {
  const lines = ["NAME:", `   ctr - ${LOGO}`, "", "USAGE:"];
  lines.push("   ctr [global options] command [command options] [arguments...]", "", "VERSION:", `   ${VERSION}`, "");
  lines.push("DESCRIPTION:", `   ${DESCRIPTION}`, "", "COMMANDS:");
  lines.push(...commandLines([...commands, { names: ["help", "h"], usage: HELP_USAGE }]));
  const all = [...flags, HELP_FLAG, VERSION_FLAG].map((flag) => `   ${flagLine(flag)}`);
  return formatTable(`${lines.join("\n")}\n\nGLOBAL OPTIONS:\n${all.join("\n")}\n`, HELP);
}

const HELP_USAGE = "Shows a list of commands or help for one command";

function commandLines(commands: readonly Pick<Command, "names" | "usage">[]): string[] {
  return commands.map(({ names, usage }) => `   ${names.join(", ")}\t${usage}`);
}

function options(title: string, flags: readonly FlagSpec[]): string {
  if (flags.length === 0) return "";
  return `\n${title}:\n${flags.map((flag) => `   ${flagLine(flag)}\n`).join("")}   \n`;
}

function flagLine(flag: FlagSpec): string {
  const quoted = /`([^`]*)`/.exec(flag.usage);
  const word = flag.type === "bool" ? "" : ` ${quoted?.[1] ?? "value"}`;
  const names = namesOf(flag)
    .filter((name) => name !== "")
    .map((name) => `${name.length === 1 ? "-" : "--"}${name}${word}`);
  const env = flag.env === undefined ? "" : ` [$${flag.env}]`;
  return `${names.join(", ")}\t${flag.usage.replaceAll("`", "")}${fallback(flag)}${env}`.trim();
}

function fallback(flag: FlagSpec): string {
  const { type, initial } = flag;
  if (type === "bool" || type === "list") return "";
  if (type === "string") return initial === undefined ? "" : ` (default: ${JSON.stringify(initial)})`;
  if (type === "duration") return ` (default: ${formatGoDuration(Number(initial ?? 0))})`;
  return ` (default: ${initial ?? 0})`;
}
