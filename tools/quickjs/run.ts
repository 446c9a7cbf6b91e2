// Runs the tests of portable code on QuickJS: the same files that Node runs, bundled with small bodies of node:test and
// node:assert, compiled by the engine and linked with the host like any program. A file that imports anything else of
// Node's, or uses its globals, is left out.

import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { linkFile } from "../build/link.ts";
import { layout } from "../build/paths.ts";
import { BUNDLE_OPTIONS, compileScript } from "../build/programs.ts";

const HERE = join(layout.root, "tools/quickjs");
const BODIES: Readonly<Record<string, string>> = {
  "node:test": join(HERE, "test.ts"),
  "node:assert/strict": join(HERE, "assert.ts"),
};
const NAME = "quickjs-tests";
/** Their tests may import portable names only and still reach Node's modules through their sources. */
const NODE_PROGRAMS = /^programs\/(dockerd|containerd|ctr)\//;

/** False when a test failed. Its report goes to stdout. */
export async function runOnQuickJs(wanted: (path: string) => boolean): Promise<boolean> {
  const files = portableTests().filter(wanted);
  if (files.length === 0) return true;
  mkdirSync(layout.work, { recursive: true });
  const script = compileScript(NAME, await bundle(files), { debug: true });
  const output = join(layout.work, NAME);
  linkFile(output, { script, programs: [NAME], aliases: [], form: "bytecode" });
  const result = spawnSync(output, [], { stdio: ["ignore", "inherit", "inherit"], timeout: 120_000 });
  rmSync(output, { force: true });
  return result.status === 0;
}

function portableTests(): string[] {
  const folders = ["base", "api", "wire", "core", "container", "linux", "programs"];
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: layout.root }))
    .filter((path) => !NODE_PROGRAMS.test(path))
    .filter(isPortable)
    .sort();
}

function isPortable(path: string): boolean {
  const text = readFileSync(join(layout.root, path), "utf8");
  const imports = [...text.matchAll(/from "([^"]+)"/g)].map((match) => match[1]!);
  return imports.every((name) => name.startsWith(".") || name in BODIES) && !/\b(Buffer|process)\./.test(text);
}

async function bundle(files: readonly string[]): Promise<string> {
  const loads = files.map((path) => `  begin(${JSON.stringify(path)}); require("./${path}");`);
  const head = 'import { begin, main } from "./tools/quickjs/test.ts";';
  const entry = [head, "{", ...loads, "}", `globalThis["${NAME}"] = main;`].join("\n");
  const stdin = { contents: entry, resolveDir: layout.root, loader: "ts" as const };
  const result = await build({ ...BUNDLE_OPTIONS, stdin, plugins: [bodies] });
  return result.outputFiles![0]!.text;
}

/** Node's own modules, and the Node body of the runtime contract, replaced by what runs here. */
const bodies: Plugin = {
  name: "quickjs-bodies",
  setup(bundler) {
    bundler.onResolve({ filter: /^node:/ }, ({ path }) => ({
      path: BODIES[path] ?? path,
      external: !(path in BODIES),
    }));
    bundler.onResolve({ filter: /runtime\/node\/runtime\.ts$/ }, () => ({ path: join(HERE, "clock.ts") }));
  },
};

if (process.argv[1] === import.meta.filename) {
  const parts = process.argv.slice(2);
  const passed = await runOnQuickJs((path) => parts.length === 0 || parts.some((part) => path.includes(part)));
  process.exit(passed ? 0 : 1);
}
