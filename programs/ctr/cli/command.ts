// A command of ctr: what help says about it, its flags, and what it does; groups hold commands instead.

import type { FlagSpec } from "./flag.ts";
import type { Invocation } from "./invocation.ts";

export interface Command {
  /** The name, then its aliases. */
  readonly names: readonly string[];
  readonly usage: string;
  /** What help shows after the flags; "" gives "[arguments...]". */
  readonly argsUsage?: string;
  readonly description?: string;
  readonly flags?: readonly FlagSpec[];
  /** Only flags before the first argument are ctr's own; elsewhere known flags are found behind arguments, too. */
  readonly flagsFirst?: boolean;
  readonly commands?: readonly Command[];
  /** The exit code; nothing is 0. */
  readonly action?: (invocation: Invocation) => Promise<number | undefined>;
}

export interface TopCommand extends Pick<Command, "names" | "usage"> {
  /** Loaded when it is called, so that start stays quick. */
  readonly load: () => Promise<Command>;
}
