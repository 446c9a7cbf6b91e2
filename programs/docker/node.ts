// Entry on Node, for development and for what only Node can do.

import { createNodeRuntime } from "../../runtime/node/runtime.ts";
import { runDocker } from "./docker.ts";

process.exit(await runDocker(createNodeRuntime({ args: process.argv.slice(2), programName: "docker" })));
