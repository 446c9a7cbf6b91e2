// `npm run generate`: api/**/*.proto -> api/<hop>/gen/*.ts (tables for wire/protobuf and the types).
// With --check it writes nothing and fails when the committed code is stale.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { generateFile } from "./emit.ts";
import { loadProtos } from "./load.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const check = process.argv.includes("--check");
let stale = 0;
for (const file of loadProtos(join(root, "api"))) {
  const path = join(root, "api", file.output);
  const text = generateFile(file);
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  stale++;
  if (check) process.stderr.write(`${relative(root, path)} is not what its .proto says: run npm run generate\n`);
  else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    process.stdout.write(`${relative(root, path)}\n`);
  }
}
if (check && stale > 0) process.exit(1);
