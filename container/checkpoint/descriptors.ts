// Standard descriptors across a checkpoint: which pipes they were is written beside the images, and the restored
// processes get runc's own in their places.

import { InheritFd } from "../../api/criu/gen/rpc.ts";
import { parseJson } from "../../base/json.ts";
import { ENOENT, errnoOf } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";

const FILE = "descriptors.json";
const STANDARD = [0, 1, 2];
const FILE_MODE = 0o600;

/** What a process's standard descriptors are: "/dev/null", "pipe:[1234]". One that is closed is left out, as the
 *  original leaves it out. */
export function standardOf(pid: number): string[] {
  const names: string[] = [];
  for (const number of STANDARD) {
    try {
      names.push(fs.readLink(`/proc/${pid}/fd/${number}`));
    } catch (thrown) {
      if (errnoOf(thrown) !== ENOENT) throw thrown;
    }
  }
  return names;
}

export function writeDescriptors(imagePath: string, names: readonly string[]): void {
  fs.writeFile(`${imagePath}/${FILE}`, JSON.stringify(names), FILE_MODE);
}

/** The pipes among them, each with the standard descriptor that takes its place. */
export function readInherited(imagePath: string): InheritFd[] {
  const names = parseJson(fs.readText(`${imagePath}/${FILE}`));
  if (!Array.isArray(names)) return [];
  return names.flatMap((name, fd) =>
    typeof name === "string" && name.includes("pipe:") ? [InheritFd.create({ key: name, fd })] : [],
  );
}
