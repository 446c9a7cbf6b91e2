// `npm run test:vm`: the tests of what this machine's own kernel cannot show (pure cgroup v2, systemd, CRIU, AppArmor),
// run inside a virtual machine. Arguments narrow it down as for `npm test`; `--shell 'command'` runs one command there
// instead, `--plain` boots without systemd.

import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { buildProbe } from "../../test/probe/build.ts";
import { installPackages } from "../build/packages.ts";
import { layout } from "../build/paths.ts";
import { findImage } from "./image.ts";
import { type Job, runMachine } from "./machine.ts";
import { bundleTests, GUEST_ROOT } from "./tests.ts";

/** One test file may take this long, in milliseconds: everything is some ten times slower there. */
const FILE_TIMEOUT = 600_000;

const NEEDED: readonly (readonly [name: string, file: string])[] = [
  ["qemu-system-x86", "/usr/bin/qemu-system-x86_64"],
  ["mmdebstrap", "/usr/bin/mmdebstrap"],
  ["e2fsprogs", "/sbin/mkfs.ext4"],
];

async function jobOf(args: readonly string[]): Promise<Job | null> {
  const plain = args.includes("--plain");
  const rest = args.filter((arg) => arg !== "--plain");
  if (rest[0] === "--shell") return { plain, script: rest.slice(1).join(" ") };
  const chosen = globSync("test/vm/**/*.test.ts", { cwd: layout.root })
    .filter((path) => rest.length === 0 || rest.some((part) => path.includes(part)))
    .sort();
  if (chosen.length === 0) return null;
  const limits = [`--test-timeout=${FILE_TIMEOUT}`, "--test-concurrency=1", "--test-reporter=spec"];
  const line = ["node", "--enable-source-maps", "--test", ...limits, ...(await bundleTests(chosen))];
  return { plain, script: `cd ${GUEST_ROOT} && GANTRY_BIN=${GUEST_ROOT}/dist/bin exec ${line.join(" ")}` };
}

const say = (text: string) => process.stderr.write(`== ${text}\n`);
const job = await jobOf(process.argv.slice(2));
if (job === null) {
  say("no test in test/vm has such a path");
  process.exit(1);
}
installPackages(
  NEEDED.map(([name]) => name),
  NEEDED.map(([, file]) => file),
);
const build = spawnSync(process.execPath, [join(layout.root, "tools/build/main.ts")], { stdio: "inherit" });
if (build.status !== 0) process.exit(1);
await buildProbe(join(layout.work, "vm-probe"));
try {
  process.exit(await runMachine(findImage(say), job));
} catch (error) {
  say((error as Error).message);
  process.exit(1);
}
