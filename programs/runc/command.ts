// What a command of runc is, and how its line is read: urfave/cli's dialect, wording and exit codes.

import { Failure } from "../../base/errors.ts";
import { type FlagEntry, FlagError, FlagSet, HelpRequested } from "../../base/flags/flagset.ts";
import type { Caller } from "../../container/detached.ts";
import { cleanPath } from "../../container/spec/check.ts";
import { door } from "../../linux/door.ts";
import { workingDirectory, writeAll } from "../../linux/fd.ts";
import type { Log } from "./log.ts";

export interface Context {
  root: string;
  log: Log;
  debug: boolean;
  /** systemd keeps the cgroups of what is created. */
  systemd: boolean;
  /** --rootless as it was given. */
  rootless: string;
  /** Of the environment; null when it is not set. */
  variable(name: string): string | null;
  environment(): Record<string, string>;
}

/** Who asks container/ for something: this command line. */
export function callerOf({ root, rootless, systemd, variable, log }: Context): Caller {
  return { root, rootless, systemd, variable, warn: (message) => log.warn(message), debug: log.stages };
}

export interface Command {
  name: string;
  /** After the flags: "<container-id>". */
  arguments: string;
  summary: string;
  /** What follows the first argument belongs to another program, flags included. */
  keepsOrder?: true;
  /** What the code is when it fails. */
  failure?: number;
  /** The exit code. */
  run(line: Line, context: Context): number;
}

/** The usage was shown and the message is logged. */
export class UsageError extends Failure {
  constructor(message: string) {
    super("invalid_argument", message);
  }
}

export class Line {
  readonly flags = new FlagSet("go");
  readonly #command: Command;
  readonly #args: readonly string[];

  constructor(command: Command, args: readonly string[]) {
    this.#command = command;
    this.#args = args;
    this.flags.interspersed = command.keepsOrder !== true;
  }

  /** The arguments after the flags; a count outside the bounds shows the usage. */
  parse(least: number, most: number): string[] {
    let rest: string[];
    try {
      rest = this.flags.parse(this.#args);
    } catch (thrown) {
      if (thrown instanceof HelpRequested) {
        print(usage(this.#command, this.flags.entries));
        throw thrown;
      }
      if (!(thrown instanceof FlagError)) throw thrown;
      print(`Incorrect Usage: ${thrown.message}\n\n${usage(this.#command, this.flags.entries)}`);
      throw new UsageError(thrown.message);
    }
    if (rest.length >= least && rest.length <= most) return rest;
    print(`Incorrect Usage.\n\n${usage(this.#command, this.flags.entries)}`);
    const name = JSON.stringify(this.#command.name);
    if (least === most) throw new UsageError(`runc: ${name} requires exactly ${least} argument(s)`);
    if (rest.length < least) throw new UsageError(`runc: ${name} requires a minimum of ${least} argument(s)`);
    throw new UsageError(`runc: ${name} requires a maximum of ${most} argument(s)`);
  }
}

export function print(text: string): void {
  writeAll(1, door().encode(text));
}

function usage(command: Command, flags: readonly FlagEntry[]): string {
  const options = flags.length > 0 ? " [command options]" : "";
  const name = `runc ${command.name}`;
  let text = `NAME:\n   ${name} - ${command.summary}\n\nUSAGE:\n   ${name}${options} ${command.arguments}\n`;
  if (flags.length > 0) text += `\nOPTIONS:\n${formatFlags(flags)}`;
  return text;
}

export function formatFlags(flags: readonly FlagEntry[]): string {
  const lines = flags
    .filter((entry) => entry.options.hidden !== true)
    .map((entry): [string, string] => {
      const value = entry.bare === null ? " value" : "";
      const names = [entry.name, entry.short].filter((name) => name !== "");
      return [names.map((name) => `${name.length > 1 ? "--" : "-"}${name}${value}`).join(", "), entry.usage];
    });
  const width = lines.reduce((most, [left]) => Math.max(most, left.length), 0) + 2;
  return lines.map(([left, right]) => `   ${left.padEnd(width)}${right}\n`).join("");
}

/** Absolute, seen from the working directory. */
export function absolute(path: string): string {
  return cleanPath(path.startsWith("/") ? path : `${workingDirectory()}/${path}`);
}
