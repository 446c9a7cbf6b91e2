// OCI bundles with a busybox root, for the runtime's figures: what `runc spec` gives, what Docker gives its containers,
// or the first with a limit on memory.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_CAPABILITIES, processCapabilities } from "../core/spec/capabilities.ts";
import { defaultDeviceRules, defaultMounts, MASKED_PATHS, READONLY_PATHS } from "../core/spec/defaults.ts";
import { defaultSeccomp } from "../core/spec/seccomp.ts";
import { layout } from "../tools/build/paths.ts";

export interface Bundle extends Disposable {
  path: string;
}

export type BundleKind = "plain" | "docker" | "small";

/** The newest version that all the runtimes compared with read. */
const SPEC_VERSION = "1.0.2";
const SMALL_MEMORY = 4 << 20;
const SHM_BYTES = 64 << 20;

/** `args` is what the container runs. */
export function makeBundle(args: readonly string[], kind: BundleKind = "plain"): Bundle {
  const path = mkdtempSync(join(tmpdir(), "gantry-bench-"));
  const bin = join(path, "rootfs/bin");
  mkdirSync(bin, { recursive: true });
  for (const name of ["dev", "proc", "sys", "tmp", "etc"]) mkdirSync(join(path, "rootfs", name));
  copyFileSync("/bin/busybox", join(bin, "busybox"));
  for (const applet of ["sh", "true", "sleep", "cat", "echo"]) symlinkSync("busybox", join(bin, applet));
  const spec = spawnSync(join(layout.bin, "runc"), ["spec"], { cwd: path, encoding: "utf8" });
  if (spec.status !== 0) throw new Error(`runc spec failed: ${spec.error?.message ?? spec.stderr}`);
  const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
  config.ociVersion = SPEC_VERSION;
  config.process.terminal = false;
  config.process.args = args;
  if (kind === "small") config.linux.resources.memory = { limit: SMALL_MEMORY };
  if (kind === "docker") likeDocker(config);
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function likeDocker(config: {
  process: Record<string, unknown>;
  root: { readonly: boolean };
  mounts: unknown;
  linux: Record<string, unknown>;
}): void {
  config.root.readonly = false;
  config.mounts = defaultMounts(SHM_BYTES);
  config.process["capabilities"] = processCapabilities(DEFAULT_CAPABILITIES, 0);
  config.process["noNewPrivileges"] = false;
  config.process["oomScoreAdj"] = 0;
  config.linux["resources"] = { devices: defaultDeviceRules() };
  config.linux["maskedPaths"] = MASKED_PATHS;
  config.linux["readonlyPaths"] = READONLY_PATHS;
  config.linux["seccomp"] = defaultSeccomp(DEFAULT_CAPABILITIES);
}
