// The house rules that a formatter does not check: sizes of files, lines and functions' parameters, headers, forbidden
// words, and which folder may import which. Prints each breach as path:line: sentence.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { UNCALLED } from "./build/compact.ts";

const FILE_LINES = 400;
const LINE_COLUMNS = 120;
/** Of what ships: without its tests and the build's compiler. */
const RUST_LINES = 1600;
const COMPILER = "host/src/compile.rs";
/** What the engine of the QuickJS programs was built without. */
const NO_MATH = new RegExp(`\\bMath\\.(${UNCALLED.join("|")})\\(`);

/** Folder -> the folders it may import from (ARCHITECTURE.md, "imports go one way"). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: ["base"],
  api: ["api", "base", "wire/protobuf"],
  wire: ["wire", "base", "api"],
  linux: ["linux", "base"],
  runtime: ["runtime", "linux", "base", "wire"],
  container: ["container", "runtime", "linux", "base", "api", "wire/dbus"],
  core: ["core", "runtime", "linux", "base", "api", "wire"],
  programs: ["container", "core", "runtime", "linux", "base", "api", "wire"],
};

export interface Breach {
  path: string;
  line: number;
  rule: string;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function tidy(): Breach[] {
  const list = spawnSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" });
  const paths = list.stdout
    .split("\n")
    .filter((path) => /\.(ts|rs|mjs)$/.test(path) && !/(^|\/)(gen|golden)\//.test(path));
  const breaches: Breach[] = [];
  let rust = 0;
  for (const path of paths) {
    const lines = readText(path);
    if (lines === null) continue;
    breaches.push(...checkLines(path, lines), ...checkImports(path, lines));
    if (path.endsWith(".rs") && path !== COMPILER) rust += beforeTests(lines);
  }
  if (rust > RUST_LINES)
    breaches.push({ path: "host", line: 1, rule: `${rust} lines of Rust, more than ${RUST_LINES}` });
  return breaches;
}

function readText(path: string): string[] | null {
  try {
    return readFileSync(join(root, path), "utf8").split("\n");
  } catch {
    return null;
  }
}

function beforeTests(lines: readonly string[]): number {
  const at = lines.findIndex((line) => line.startsWith("#[cfg(test)]"));
  return at < 0 ? lines.length : at;
}

function checkLines(path: string, lines: readonly string[]): Breach[] {
  const breaches: Breach[] = [];
  if (lines.length > FILE_LINES + 1) breaches.push({ path, line: FILE_LINES, rule: `longer than ${FILE_LINES} lines` });
  const opens = lines[0]?.startsWith("//") || (lines[0]?.startsWith("#!") && lines[1]?.startsWith("//"));
  if (!opens) breaches.push({ path, line: 1, rule: "begins without saying what it is" });
  lines.forEach((text, index) => {
    const line = index + 1;
    if (text.length > LINE_COLUMNS) breaches.push({ path, line, rule: `longer than ${LINE_COLUMNS} columns` });
    if (/\bas any\b|: any[;,)\]]/.test(text) && !lines[index - 1]?.includes("biome-ignore")) {
      breaches.push({ path, line, rule: "`any`" });
    }
    if (NO_MATH.test(text) && path.split("/")[0]! in MAY_IMPORT) {
      breaches.push({ path, line, rule: "QuickJS programs have no such function of Math (tools/build/compact.ts)" });
    }
  });
  return breaches;
}

function checkImports(path: string, lines: readonly string[]): Breach[] {
  const folder = path.split("/")[0]!;
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined || /\.test\.ts$/.test(path)) return [];
  const breaches: Breach[] = [];
  lines.forEach((text, index) => {
    const target = /(?:from|import\() ?"(\.[^"]+)"/.exec(text)?.[1];
    if (target === undefined) return;
    const resolved = normalize(join(dirname(path), target));
    if (folder === "programs" && resolved.startsWith("programs/")) {
      if (resolved.split("/")[1] === path.split("/")[1]) return;
      breaches.push({ path, line: index + 1, rule: `a program imports another program: ${resolved}` });
    } else if (!allowed.some((prefix) => resolved.startsWith(`${prefix}/`))) {
      breaches.push({ path, line: index + 1, rule: `${folder}/ may not import ${resolved}` });
    }
  });
  return breaches;
}
