// QuickJS programs: the programs/<name>/main.ts of one executable are bundled into one script, in which what they share
// stands once, and compiled to bytecode by the engine that will load it.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { layout } from "./paths.ts";
import { run } from "./run.ts";
import { touchScript } from "./touch.ts";
import { mendUsing } from "./using.ts";

/** Leaves the main function of each program as a property of globalThis, by the program's name. */
export interface CompiledScript {
  /** Path of the bytecode. */
  code: string;
  /** Path of what is run after it while a heap image is built (touch.ts). */
  touch: string;
}

/** The executables, the programs inside each (the first runs under any other name) and the names that link to it. */
export const EXECUTABLES: readonly { file: string; programs: readonly string[]; aliases: Record<string, string> }[] = [
  { file: "docker", programs: ["docker"], aliases: {} },
  {
    file: "runc",
    programs: ["runc", "containerd-shim-runc-v2", "docker-proxy", "docker-net", "containerd-unpack"],
    aliases: {
      "containerd-shim": "containerd-shim-runc-v2",
      "containerd-shim-current": "containerd-shim-runc-v2",
      "docker-containerd-shim": "containerd-shim-runc-v2",
      "docker-containerd-shim-current": "containerd-shim-runc-v2",
    },
  },
  // A file of its own: it is bound into containers, and nothing a container could overwrite may be the host's runtime.
  { file: "docker-init", programs: ["docker-init"], aliases: {} },
];

/** Programs that enter containers start over from a read-only copy of their executable (host/src/seal.rs): when
 *  one of these words is among their arguments. */
export const SEALED: Readonly<Record<string, string>> = {
  runc: "create run exec",
  "containerd-shim-runc-v2": "start adopt",
};

export const BUNDLE_OPTIONS = {
  bundle: true,
  write: false,
  format: "iife",
  platform: "neutral",
  // What QuickJS-ng speaks, less explicit resource management, which esbuild lowers.
  target: "es2023",
  minifySyntax: true,
  treeShaking: true,
  logLevel: "warning",
  // Crash tests build with it on (container/failpoints.ts).
  define: { FAILPOINTS: "false" },
} as const;

/** The script of each executable, by the executable's name. */
export async function compileExecutables(options: { debug: boolean }): Promise<Map<string, CompiledScript>> {
  const compiled = EXECUTABLES.map(
    async ({ file, programs }) => [file, compileScript(file, await bundle(programs), options)] as const,
  );
  return new Map(await Promise.all(compiled));
}

/** Compiles unless the script, the compiler and the options are those of the last time. */
export function compileScript(name: string, script: string, options: { debug: boolean }): CompiledScript {
  const [code, touch] = [join(layout.work, `${name}.bin`), join(layout.work, `${name}.touch.bin`)];
  const touched = touchScript(script);
  const compiler = join(layout.cargo, "release/compile");
  const stamp = createHash("sha256")
    .update(mendUsing(script))
    .update(touched)
    .update(readFileSync(compiler))
    .update(String(options.debug));
  const digest = stamp.digest("hex");
  const record = join(layout.work, `${name}.digest`);
  const made = existsSync(code) && existsSync(touch);
  if (made && existsSync(record) && readFileSync(record, "utf8") === digest) return { code, touch };
  const sources = { [code]: mendUsing(script), [touch]: touched };
  for (const [output, text] of Object.entries(sources)) {
    const source = output.replace(/bin$/, "js");
    writeFileSync(source, text);
    run(compiler, [source, output, ...(options.debug ? ["--debug"] : [])]);
  }
  writeFileSync(record, digest);
  return { code, touch };
}

async function bundle(programs: readonly string[]): Promise<string> {
  const imports = programs.map((name, at) => `import { main as main${at} } from "./programs/${name}/main.ts";`);
  const mains = programs.map((name, at) => `globalThis[${JSON.stringify(name)}] = main${at};`);
  const entry = [...imports, ...mains].join("\n");
  const result = await build({
    ...BUNDLE_OPTIONS,
    stdin: { contents: entry, resolveDir: layout.root, loader: "ts" },
  });
  return result.outputFiles[0]!.text;
}
