// Runs the fuzz: most cases inside QuickJS (inside.ts), some as whole programs on the real kernel (kernel.ts), both in
// two processes side by side and watched for standing still. Called by main.ts and, with few cases, by fuzz.test.ts.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { linkFile } from "../../tools/build/link.ts";
import { layout } from "../../tools/build/paths.ts";
import { BUNDLE_OPTIONS, compileScript } from "../../tools/build/programs.ts";

/** A worker that says nothing for so long, in milliseconds, hangs. */
const SILENCE = 120_000;
const WORKERS = 2;

export interface Figures {
  cases: number;
  succeeded: number;
  refused: number;
  /** Milliseconds of the slowest case. */
  slowest: number;
  defects: string[];
}

export interface Plan {
  seed: number;
  cases: number;
}

/** Cases inside QuickJS. */
export async function fuzzInside({ seed, cases }: Plan): Promise<Figures> {
  const program = await buildInside();
  return inParallel(cases, (first, count, directory) => ({
    command: program,
    args: [directory, String(seed), String(first), String(count)],
  }));
}

/** Cases as whole programs. In namespaces of their own, so that a process or a mount left behind is seen at once, and
 *  with docker-init as their first process, which takes up orphans. */
export function fuzzKernel({ seed, cases }: Plan): Promise<Figures> {
  return inParallel(cases, (first, count, directory) => {
    const namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--net", "--ipc", "--uts", "--kill-child"];
    const worker = [process.execPath, "--disable-warning=ExperimentalWarning", join(import.meta.dirname, "kernel.ts")];
    const line = [
      join(layout.bin, "docker-init"),
      "--",
      ...worker,
      directory,
      String(seed),
      String(first),
      String(count),
    ];
    return { command: "unshare", args: [...namespaces, ...line] };
  });
}

interface Line {
  command: string;
  args: readonly string[];
}

async function inParallel(
  cases: number,
  line: (first: number, count: number, directory: string) => Line,
): Promise<Figures> {
  const each = Math.ceil(cases / WORKERS);
  const parts = Array.from(
    { length: WORKERS },
    (_, index) => [index * each, Math.min(each, cases - index * each)] as const,
  );
  const all = await Promise.all(parts.map(([first, count]) => watched(first, count, line)));
  return all.reduce((sum, part) => ({
    cases: sum.cases + part.cases,
    succeeded: sum.succeeded + part.succeeded,
    refused: sum.refused + part.refused,
    slowest: Math.max(sum.slowest, part.slowest),
    defects: [...sum.defects, ...part.defects],
  }));
}

async function watched(first: number, count: number, line: (first: number, count: number, directory: string) => Line) {
  // In memory: every case writes files.
  const directory = mkdtempSync("/dev/shm/gantry-fuzz-");
  try {
    const { command, args } = line(first, count, directory);
    const lines: string[] = [];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], detached: true });
    const kill = () => child.kill("SIGKILL");
    let timer = setTimeout(kill, SILENCE);
    child.stdout.on("data", (part: Buffer) => {
      clearTimeout(timer);
      timer = setTimeout(kill, SILENCE);
      lines.push(String(part));
    });
    const ended = await new Promise<string>((resolve) =>
      child.once("close", (code, signal) => resolve(signal ?? `${code}`)),
    );
    clearTimeout(timer);
    const said = lines.join("").trim().split("\n");
    const last = said.at(-1) ?? "";
    if (last.startsWith("{")) return JSON.parse(last) as Figures;
    const where = `cases ${first} to ${first + count}: ended with ${ended} after case ${last === "" ? first : last}`;
    return { cases: 0, succeeded: 0, refused: 0, slowest: 0, defects: [where] };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function buildInside(): Promise<string> {
  const contents = 'import { main } from "./test/fuzz/inside.ts"; globalThis["fuzz-inside"] = main;';
  const result = await build({ ...BUNDLE_OPTIONS, stdin: { contents, resolveDir: layout.root, loader: "ts" } });
  const output = join(layout.work, "fuzz-inside");
  const script = compileScript("fuzz-inside", result.outputFiles[0]!.text, { debug: true });
  linkFile(output, { script, programs: ["fuzz-inside"], aliases: [], form: "bytecode" });
  return output;
}
