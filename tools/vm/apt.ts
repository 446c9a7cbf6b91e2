// What the machine's own apt knows: where Debian is to be had, and through what. The virtual machine's root and kernel
// come from there, so no mirror or proxy stands in this repository. Used by image.ts.

import { spawnSync } from "node:child_process";

const APT = "/usr/bin/apt-get";

/** The sources of Debian's own packages, as lines of a sources.list; refreshed first when apt has no lists yet. */
export function debianSources(): string[] {
  let found = indexes();
  if (found.length === 0) {
    ask(APT, ["update"]);
    found = indexes();
  }
  if (found.length > 0) return found;
  throw new Error("apt knows no source of Debian packages: the virtual machine cannot be built");
}

function indexes(): string[] {
  const format = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)";
  const lines = ask(APT, ["indextargets", "--format", format, "Created-By: Packages"]).trim().split("\n");
  const debian = lines.filter((line) => line.startsWith("Debian "));
  return [...new Set(debian.map((line) => `deb ${line.slice("Debian ".length)}`))];
}

/** The suite the machine itself runs, such as bookworm: a root of the same suite finds its keys on the host. */
export function suiteOf(sources: readonly string[]): string {
  return sources.map((line) => line.split(" ")[2]!).sort((a, b) => a.length - b.length)[0]!;
}

/** Proxies and the like, as `Name "value";`, for a second apt. */
export function transportOptions(): string[] {
  const lines = ask("/usr/bin/apt-config", ["dump", "Acquire"]).split("\n");
  return lines.filter((line) => /^Acquire::(https?|ftp|Check-|Retries)/i.test(line) && !line.endsWith('"";'));
}

/** Downloads the kernel package that a name of the kind `linux-image-amd64` stands for, into `folder`. */
export function downloadKernel(name: string, folder: string): void {
  const depends = /Depends: (linux-image-\S+)/.exec(ask("/usr/bin/apt-cache", ["depends", name]));
  if (depends === null) throw new Error(`apt does not know the kernel package ${name}`);
  // As root apt would drop to a user that may not write here.
  ask(APT, ["-o", "APT::Sandbox::User=root", "download", depends[1]!], folder);
}

function ask(command: string, args: readonly string[], cwd?: string): string {
  const result = spawnSync(command, args, { encoding: "utf8", ...(cwd === undefined ? {} : { cwd }) });
  if (result.status === 0) return result.stdout;
  throw new Error(`${command} ${args.join(" ")}: ${result.error?.message ?? result.stderr}`);
}
