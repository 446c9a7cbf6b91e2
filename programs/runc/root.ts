// Where containers' records are when --root does not say: with the machine's for root, with the user's own for others.

import { DEFAULT_ROOT } from "../../container/layout.ts";
import { door } from "../../linux/door.ts";
import { chmod, makeDirectories, writeAll } from "../../linux/fd.ts";
import { runsInUserNamespace } from "../../linux/namespace.ts";
import { effectiveUser } from "../../linux/process.ts";
import type { Context } from "./command.ts";

/** Sticky, which tells cleaners of $XDG_RUNTIME_DIR to leave it alone (XDG base directory specification). */
const MODE = 0o1700;

export function usualRoot(variable: Context["variable"]): string {
  const home = variable("XDG_RUNTIME_DIR") ?? "";
  if (home === "" || !isForUsers(variable)) return DEFAULT_ROOT;
  const root = `${home}/runc`;
  explained("the path in $XDG_RUNTIME_DIR must be writable by the user", () => makeDirectories(root, 0o700));
  explained("you should check permission of the path in $XDG_RUNTIME_DIR", () => chmod(root, MODE));
  return root;
}

/** The machine's root keeps to one place whatever its session says; so does who is called root in a user namespace. */
function isForUsers(variable: Context["variable"]): boolean {
  if (effectiveUser() !== 0) return true;
  return runsInUserNamespace() && variable("USER") !== "root";
}

function explained(hint: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    writeAll(2, door().encode(`${hint}\n`));
    throw thrown;
  }
}
