// What a command is: its line of usage, how many arguments it takes, its flags, and what it does. Flags are made only
// when the command is called, so that a start costs nothing for the others.

import type { FlagSet } from "../../base/flags/flagset.ts";
import type { Runtime } from "../../base/runtime.ts";
import type { Cli } from "./cli.ts";

/** An exit code, or nothing for success. */
export type Action = (cli: Cli, args: string[]) => Promise<number> | Promise<void>;

export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** What follows the command's name in its usage line. */
  readonly usage: string;
  /** Least and most arguments; most null for any number. */
  readonly args: readonly [least: number, most: number | null];
  /** False when the first argument ends the flags (they belong to the container's command then). */
  readonly interspersed?: boolean;
  /** Not listed in help. */
  readonly hidden?: boolean;
  readonly define: (flags: FlagSet, runtime: Runtime) => Action;
}

export interface Group {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}
