// Debian packages a step needs: installed when one of their files is missing and we may (root); else a clear sentence.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** `files` are what the packages bring, one each. */
export function installPackages(packages: readonly string[], files: readonly string[]): void {
  const missing = packages.filter((_name, at) => !existsSync(files[at]!));
  if (missing.length === 0) return;
  const may = process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
  process.stderr.write(`${may ? "installing" : "missing"} Debian packages: ${missing.join(" ")}\n`);
  if (!may) process.exit(1);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) => spawnSync("apt-get", args, { stdio: ["ignore", "ignore", 2], env }).status;
  if (apt("install", "-y", "--no-install-recommends", ...missing) === 0) return;
  apt("update");
  if (apt("install", "-y", "--no-install-recommends", ...missing) === 0) return;
  process.stderr.write(`apt-get could not install ${missing.join(" ")}\n`);
  process.exit(1);
}
