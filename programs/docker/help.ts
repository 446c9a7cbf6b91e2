// Help texts and the complaints that quote usage lines. Called when --help was given or a command line does not fit.

import type { FlagSet } from "../../base/flags/flagset.ts";
import { formatFlagUsage } from "../../base/flags/usage.ts";
import type { Command, Group } from "./command.ts";
import { ExitStatus } from "./failure.ts";

export function usageLine(command: Command, path: string): string {
  return `Usage:  ${path}${command.usage === "" ? "" : ` ${command.usage}`}`;
}

export function commandHelp(command: Command, path: string, layout: { flags: FlagSet; width: number }): string {
  const options = formatFlagUsage(layout.flags.entries, layout.width);
  const block = options === "" ? "" : `\nOptions:\n${options}`;
  return `${usageLine(command, path)}\n\n${command.summary}\n${block}`;
}

export function groupHelp(group: Group): string {
  return (
    `Usage:  docker ${group.name} COMMAND\n\n${group.summary}\n\nCommands:\n${listCommands(group.commands)}\n` +
    `Run 'docker ${group.name} COMMAND --help' for more information on a command.\n`
  );
}

export interface RootLayout {
  groups: readonly Group[];
  commands: readonly Command[];
  flags: FlagSet;
  width: number;
}

export function rootHelp(layout: RootLayout): string {
  const groups = layout.groups.map((group) => ({ name: group.name, summary: group.summary }));
  return (
    "Usage:  docker [OPTIONS] COMMAND\n\nRuns and manages containers\n\n" +
    `Management Commands:\n${listCommands(groups)}\nCommands:\n${listCommands(layout.commands)}\n` +
    `Global Options:\n${formatFlagUsage(layout.flags.entries, layout.width)}\n` +
    "Run 'docker COMMAND --help' for more information on a command.\n"
  );
}

function listCommands(commands: readonly { name: string; summary: string; hidden?: boolean }[]): string {
  const shown = commands.filter((command) => command.hidden !== true);
  return [...shown]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((command) => `  ${command.name.padEnd(11)} ${command.summary.split("\n")[0]}\n`)
    .join("");
}

/** A flag that cannot be read. */
export function flagComplaint(message: string, usage: string, path: string): ExitStatus {
  return new ExitStatus(125, `${message}\n\n${usage}\n\nRun '${path} --help' for more information`);
}

/** Throws when the command does not take that many arguments. */
export function checkArguments(command: Command, path: string, count: number): void {
  const [least, most] = command.args;
  if (count >= least && (most === null || count <= most)) return;
  const plural = (number: number) => `${number} argument${number === 1 ? "" : "s"}`;
  let complaint = `'${path}' requires at least ${plural(least)}`;
  const lead = most === null ? "See" : "Run";
  if (most === 0) complaint = `'${path}' accepts no arguments`;
  else if (least === most) complaint = `'${path}' requires ${plural(least)}`;
  else if (most !== null && least === 0) complaint = `'${path}' requires at most ${plural(most)}`;
  else if (most !== null) complaint = `'${path}' requires at least ${least} and at most ${plural(most)}`;
  throw new ExitStatus(
    1,
    `docker: ${complaint}\n\n${usageLine(command, path)}\n\n${lead} '${path} --help' for more information`,
  );
}
