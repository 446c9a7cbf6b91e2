// The table of commands.

import type { Command } from "./command.ts";
import { create } from "./commands/create.ts";
import { deleteContainer } from "./commands/delete.ts";
import { killCommand } from "./commands/kill.ts";
import { run } from "./commands/run.ts";
import { start } from "./commands/start.ts";
import { state } from "./commands/state.ts";

export const COMMANDS: Readonly<Record<string, Command>> = {
  create,
  delete: deleteContainer,
  kill: killCommand,
  run,
  start,
  state,
};

/** Known to the original, not here yet. */
export const REFUSED: Readonly<Record<string, string>> = {
  checkpoint: "checkpoint is not supported yet",
  restore: "restore is not supported yet",
};
