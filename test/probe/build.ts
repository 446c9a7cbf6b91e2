// Builds the probe (main.ts beside it) like any QuickJS program and puts it where a test wants it.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { linkFile } from "../../tools/build/link.ts";
import { layout } from "../../tools/build/paths.ts";
import { BUNDLE_OPTIONS, compileScript } from "../../tools/build/programs.ts";

const NAME = "probe";

export async function buildProbe(destination: string): Promise<void> {
  const contents = 'import { main } from "./test/probe/main.ts"; globalThis.probe = main;';
  const result = await build({ ...BUNDLE_OPTIONS, stdin: { contents, resolveDir: layout.root, loader: "ts" } });
  const output = join(layout.work, NAME);
  const script = compileScript(NAME, result.outputFiles[0]!.text, { debug: true });
  linkFile(output, { script, programs: [NAME], aliases: [], form: "bytecode" });
  copyFileSync(output, destination);
}
