// The table of commands.

import type { Command } from "./command.ts";
import { checkpoint } from "./commands/checkpoint.ts";
import { create } from "./commands/create.ts";
import { deleteContainer } from "./commands/delete.ts";
import { events } from "./commands/events.ts";
import { exec } from "./commands/exec.ts";
import { features } from "./commands/features.ts";
import { killCommand } from "./commands/kill.ts";
import { list } from "./commands/list.ts";
import { pauseCommand, resume } from "./commands/pause.ts";
import { ps } from "./commands/ps.ts";
import { restore } from "./commands/restore.ts";
import { run } from "./commands/run.ts";
import { spec } from "./commands/spec.ts";
import { start } from "./commands/start.ts";
import { state } from "./commands/state.ts";
import { update } from "./commands/update.ts";

export const COMMANDS: Readonly<Record<string, Command>> = {
  checkpoint,
  create,
  delete: deleteContainer,
  events,
  exec,
  features,
  kill: killCommand,
  list,
  pause: pauseCommand,
  ps,
  restore,
  resume,
  run,
  spec,
  start,
  state,
  update,
};
