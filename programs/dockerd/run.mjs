// Runs dockerd from its source, for tests: the bundle calls main itself.
import { main } from "./main.ts";

process.exitCode = await main(process.argv.slice(2));
process.exit();
