// All containers of a root.

import { messageOf } from "../base/errors.ts";
import { ENOENT, errnoOf } from "../linux/errno.ts";
import { type DirectoryEntry, listDirectory } from "../linux/fd.ts";
import { DEFAULT_ROOT } from "./layout.ts";
import { loadContainer, type State, stateOf } from "./state.ts";

const DT_DIR = 4;

/** By name. What cannot be read is told and left out. */
export function listContainers(root: string, warn: (message: string) => void): State[] {
  const states: State[] = [];
  const names = entriesOf(root)
    .filter((entry) => entry.kind === DT_DIR)
    .map((entry) => entry.name);
  for (const name of names.sort()) {
    try {
      states.push(stateOf(loadContainer(root, name)));
    } catch (thrown) {
      warn(`load container ${name}: ${messageOf(thrown)}`);
    }
  }
  return states;
}

function entriesOf(root: string): DirectoryEntry[] {
  try {
    return listDirectory(root);
  } catch (thrown) {
    // Made by the first container; any other root was named by somebody, who should hear that it is not there.
    if (errnoOf(thrown) === ENOENT && root === DEFAULT_ROOT) return [];
    throw thrown;
  }
}
