// `npm run check`: types under every engine, lint and format, generated code, house rules. Under a minute.

import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { tidy } from "./tidy.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name: string) => join(root, "node_modules/.bin", name);

const steps: readonly { name: string; command: string; args: readonly string[] }[] = [
  { name: "types, portable", command: bin("tsc"), args: ["-p", "tsconfig.portable.json"] },
  { name: "types, quickjs", command: bin("tsc"), args: ["-p", "tsconfig.quickjs.json"] },
  { name: "types, node", command: bin("tsc"), args: ["-p", "tsconfig.node.json"] },
  {
    name: "lint and format",
    command: bin("biome"),
    args: ["check", "--max-diagnostics=40", "--diagnostic-level=error"],
  },
  { name: "generated code", command: process.execPath, args: [join(root, "tools/generate/main.ts"), "--check"] },
];

function run(command: string, args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (part) => (output += part));
    child.stderr.on("data", (part) => (output += part));
    child.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}

let failed = false;
for (const step of steps) {
  const { ok, output } = await run(step.command, step.args);
  process.stdout.write(`${ok ? "ok  " : "FAIL"} ${step.name}\n${ok ? "" : output}`);
  failed ||= !ok;
}
const breaches = tidy();
process.stdout.write(`${breaches.length === 0 ? "ok  " : "FAIL"} house rules\n`);
for (const breach of breaches) process.stdout.write(`${breach.path}:${breach.line}: ${breach.rule}\n`);
process.exit(failed || breaches.length > 0 ? 1 : 0);
