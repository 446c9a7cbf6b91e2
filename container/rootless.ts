// Whether the runtime itself has root's rights, and what it may therefore leave undone. Two different things: another
// user than root needs a user namespace for everything; who may lack rights over cgroups (also root inside of a user
// namespace) goes without those it is refused, unless config.json asks for them.

import { parseGoBool } from "../base/flags/go.ts";
import { runsInUserNamespace } from "../linux/namespace.ts";
import { effectiveUser } from "../linux/process.ts";

export interface Rootless {
  /** The runtime's user is not root where it runs. */
  user: boolean;
  /** A cgroup that is refused is left out. */
  cgroups: boolean;
  /** PATH, where the programs that map ids for a user are looked for. */
  searchPath: string;
}

/** By the word of --rootless: a boolean in Go's spelling, or "auto". */
export function rootlessOf(word: string, searchPath: string): Rootless {
  const user = effectiveUser() !== 0;
  const auto = word === "" || word.toLowerCase() === "auto";
  return { user, cgroups: auto ? user || runsInUserNamespace() : parseGoBool(word), searchPath };
}
