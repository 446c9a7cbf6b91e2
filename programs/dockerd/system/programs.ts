// Where the neighbours' programs are: beside our own executable first, then along PATH.

import { accessSync, constants, realpathSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";

export function findProgram(name: string): string | null {
  for (const directory of searchPath()) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

/** PATH with the folder of our own programs in front: ours find each other wherever they were put. */
export function searchPath(): string[] {
  const own = ownDirectory();
  const path = (process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").split(delimiter);
  return own === null ? path : [own, ...path.filter((directory) => directory !== own)];
}

/** Null when a plain Node runs the source: then the caller's PATH says where the programs are. */
function ownDirectory(): string | null {
  const executable = realpathSync(process.execPath);
  return basename(executable) === "node" ? null : dirname(executable);
}
