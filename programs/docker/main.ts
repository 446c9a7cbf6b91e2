// Entry on QuickJS: the host calls main once, when the program is loaded.

import type { Door } from "../../linux/door.ts";
import { start } from "../../runtime/quickjs/runtime.ts";
import { runDocker } from "./docker.ts";

export function main(door: Door): void {
  start(door, runDocker);
}
