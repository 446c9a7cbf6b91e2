// Entry on Node, for development and for what only Node can do (a context with TLS, host names).

import { createNodeRuntime } from "../../runtime/node/runtime.ts";
import { runDocker } from "./docker.ts";

export async function main(args: string[]): Promise<never> {
  // An open stdin would hold the process: it ends when the command does.
  process.exit(await runDocker(createNodeRuntime({ args, programName: "docker" })));
}

if (import.meta.main) void main(process.argv.slice(2));
