// Builds the crash tests' runc (main.ts beside it): the shipped program's sources with FAILPOINTS true, linked like it.

import { join } from "node:path";
import { build } from "esbuild";
import { linkFile } from "../../../tools/build/link.ts";
import { layout } from "../../../tools/build/paths.ts";
import { BUNDLE_OPTIONS, compileScript } from "../../../tools/build/programs.ts";

/** Path of the executable. It bears the name of runc inside, so that it is sealed as runc is. */
export async function buildCrashRunc(): Promise<string> {
  const contents = 'import { main } from "./test/crash/runc/main.ts"; globalThis.runc = main;';
  const stdin = { contents, resolveDir: layout.root, loader: "ts" as const };
  const result = await build({ ...BUNDLE_OPTIONS, define: { FAILPOINTS: "true" }, stdin });
  const script = compileScript("runc-crash", result.outputFiles[0]!.text, { debug: true });
  const output = join(layout.work, "runc-crash");
  linkFile(output, { script, programs: ["runc"], aliases: [], form: "bytecode" });
  return output;
}
