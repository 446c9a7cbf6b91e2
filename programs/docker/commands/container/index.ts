// All commands about containers.

import type { Command } from "../../command.ts";
import { inspectKind } from "../system/inspect.ts";
import { attach } from "./attach.ts";
import { cp } from "./cp.ts";
import { create } from "./create.ts";
import { exec } from "./exec.ts";
import { kill, pause, rename, restart, rm, stop, unpause, update, wait } from "./lifecycle.ts";
import { logs } from "./logs.ts";
import { commit, diff, exportContainer, port, prune, top } from "./looking.ts";
import { ls } from "./ls.ts";
import { run } from "./run.ts";
import { start } from "./start.ts";
import { stats } from "./stats.ts";

export const CONTAINER_COMMANDS: readonly Command[] = [
  attach,
  commit,
  cp,
  create,
  diff,
  exec,
  exportContainer,
  inspectKind("container", "Display detailed information on one or more containers"),
  kill,
  logs,
  ls,
  pause,
  port,
  prune,
  rename,
  restart,
  rm,
  run,
  start,
  stats,
  stop,
  top,
  unpause,
  update,
  wait,
];
