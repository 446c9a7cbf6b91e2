// An OCI bundle with a busybox root, for the runtime's figures.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Bundle extends Disposable {
  path: string;
}

/** `args` is what the container runs. */
export function makeBundle(args: readonly string[]): Bundle {
  const path = mkdtempSync(join(tmpdir(), "gantry-bench-"));
  const bin = join(path, "rootfs/bin");
  mkdirSync(bin, { recursive: true });
  for (const name of ["dev", "proc", "sys", "tmp", "etc"]) mkdirSync(join(path, "rootfs", name));
  copyFileSync("/bin/busybox", join(bin, "busybox"));
  for (const applet of ["sh", "true", "sleep", "cat", "echo"]) symlinkSync("busybox", join(bin, applet));
  const spec = spawnSync("runc", ["spec"], { cwd: path });
  if (spec.status !== 0) throw new Error("runc spec failed");
  const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
  config.process.terminal = false;
  config.process.args = args;
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
