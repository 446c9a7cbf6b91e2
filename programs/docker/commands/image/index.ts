// All commands about images.

import type { Command } from "../../command.ts";
import { inspectKind } from "../system/inspect.ts";
import { importImage, load, save } from "./archive.ts";
import { ls } from "./ls.ts";
import { history, prune, rm, tag } from "./manage.ts";
import { pull, push } from "./pull.ts";

export const IMAGE_COMMANDS: readonly Command[] = [
  history,
  importImage,
  inspectKind("image", "Display detailed information on one or more images"),
  load,
  ls,
  prune,
  pull,
  push,
  rm,
  save,
  tag,
];
