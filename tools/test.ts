// `npm test`: builds, then runs every test: the host's in Rust, unit tests beside the sources side by side, and the
// tests that need the whole machine (test/**: real processes, mounts, networks) one after the other.
// Arguments narrow it down: parts of paths, as in `npm test -- test/path runc`.

import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPackages } from "./build/packages.ts";
import { layout } from "./build/paths.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** One test file may take this long, in milliseconds. */
const FILE_TIMEOUT = 300_000;

/** What the swapped-neighbour tests need, with a file each brings. */
const ORIGINALS: readonly (readonly [name: string, file: string])[] = [
  ["docker.io", "/usr/sbin/dockerd"],
  ["containerd", "/usr/bin/containerd"],
  ["runc", "/usr/sbin/runc"],
  ["crun", "/usr/bin/crun"],
  ["tini", "/usr/bin/tini"],
  ["busybox-static", "/bin/busybox"],
  ["iproute2", "/bin/ip"],
  ["nftables", "/usr/sbin/nft"],
  ["iptables", "/usr/sbin/iptables"],
  ["attr", "/usr/bin/getfattr"],
  ["curl", "/usr/bin/curl"],
  ["uidmap", "/usr/bin/newuidmap"],
  ["podman", "/usr/bin/podman"],
];

function step(name: string, command: string, args: readonly string[], cwd = root): boolean {
  process.stdout.write(`\n== ${name}\n`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const result = spawnSync(command, args, { cwd, stdio: "inherit", env: { ...env, GANTRY_BIN: layout.bin } });
  if (result.status !== 0) process.stdout.write(`== ${name}: FAILED\n`);
  return result.status === 0;
}

function nodeTests(name: string, files: readonly string[], concurrency: number): boolean {
  if (files.length === 0) return true;
  const limits = [`--test-timeout=${FILE_TIMEOUT}`, `--test-concurrency=${concurrency}`];
  return step(name, process.execPath, ["--disable-warning=ExperimentalWarning", "--test", ...limits, ...files]);
}

const wanted = process.argv.slice(2);
const chosen = (path: string) => wanted.length === 0 || wanted.some((part) => path.includes(part));
// What is in test/vm runs in the virtual machine alone (npm run test:vm).
const all = globSync("**/*.test.ts", { cwd: root, exclude: ["node_modules", "dist", "build", "test/vm"] }).sort();
const whole = all.filter((path) => path.startsWith("test/") && chosen(path));
const units = all.filter((path) => !path.startsWith("test/") && chosen(path));

installPackages(
  ORIGINALS.map(([name]) => name),
  ORIGINALS.map(([, file]) => file),
);
let passed = step("build", process.execPath, [join(root, "tools/build/main.ts")]);
if (passed && wanted.length === 0) {
  passed = step("host", "cargo", ["test", "--quiet", "--lib", "--target-dir", layout.cargo], layout.host);
}
if (passed) {
  const results = [
    nodeTests("unit tests", units, 2),
    // Portable code runs on both engines, and so do its tests.
    step("unit tests on QuickJS", process.execPath, [join(root, "tools/quickjs/run.ts"), ...wanted]),
    nodeTests("whole-machine tests", whole, 1),
  ];
  passed = results.every((result) => result);
}
process.stdout.write(passed ? "\nall tests passed\n" : "\nsome tests failed\n");
process.exit(passed ? 0 : 1);
