// Where an entry goes: the open directory that holds it and its last name, resolved inside the root.
//
// The directory of the last entry is kept open, because archives go through a tree in order. It is dropped whenever
// something that may have been a directory on its way is removed or replaced.

import { Failure } from "../../base/errors.ts";
import { EEXIST, errnoOf } from "../../linux/errno.ts";
import {
  AT_SYMLINK_NOFOLLOW,
  type Fd,
  listOpenDirectory,
  O_DIRECTORY,
  O_RDONLY,
  S_IFDIR,
  S_IFMT,
  type Stat,
  statAt,
} from "../../linux/fd.ts";
import { makeDirectoryAt, openChild, openInRoot, unlinkAt } from "../../linux/tree.ts";

const PARENT_MODE = 0o755; // of directories that an archive needs but does not name
const DEPTH_LIMIT = 1024; // components of a path, and levels of a removal

/** The components of an entry's name, without "." and empty ones; ".." that leads above the root is refused. */
export function cleanPath(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) {
      throw new Failure("invalid_argument", `archive: entry ${JSON.stringify(name)} is outside of the root`);
    }
  }
  if (parts.length > DEPTH_LIMIT) throw new Failure("invalid_argument", "archive: a path is too deep");
  return parts;
}

export class Places implements Disposable {
  private readonly root: number;
  private heldPath: string | null = null;
  private held: Fd | null = null;

  constructor(root: number) {
    this.root = root;
  }

  /** The directory at `path` (joined components), made with its parents where missing. Borrowed until the next call. */
  directory(parts: readonly string[]): number {
    const path = parts.join("/");
    if (path === "") return this.root;
    if (this.heldPath === path && this.held !== null) return this.held.number;
    this.forget();
    this.held = openInRoot(this.root, path, O_RDONLY | O_DIRECTORY) ?? this.make(parts);
    this.heldPath = path;
    return this.held.number;
  }

  forget(): void {
    this.held?.close();
    this.held = null;
    this.heldPath = null;
  }

  [Symbol.dispose](): void {
    this.forget();
  }

  private make(parts: readonly string[]): Fd {
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = parts.slice(0, depth).join("/");
      using there = openInRoot(this.root, path);
      if (there !== null) continue;
      const above = openInRoot(this.root, parts.slice(0, depth - 1).join("/"), O_RDONLY | O_DIRECTORY);
      using parent = above ?? missing(path);
      try {
        makeDirectoryAt(parent.number, parts[depth - 1]!, PARENT_MODE);
      } catch (thrown) {
        // A link to nowhere stands where the directory should be.
        if (errnoOf(thrown) !== EEXIST) throw thrown;
        unlinkAt(parent.number, parts[depth - 1]!, false);
        makeDirectoryAt(parent.number, parts[depth - 1]!, PARENT_MODE);
      }
    }
    return openInRoot(this.root, parts.join("/"), O_RDONLY | O_DIRECTORY) ?? missing(parts.join("/"));
  }
}

function missing(path: string): never {
  throw new Failure("invalid_argument", `archive: the parent of ${JSON.stringify(path)} cannot be made`);
}

export function statChild(directory: number, name: string): Stat | null {
  return statAt(directory, name, AT_SYMLINK_NOFOLLOW);
}

export function isDirectory(facts: Stat | null): boolean {
  return facts !== null && (facts.mode & S_IFMT) === S_IFDIR;
}

/** Removes a child with everything below it, never through a link. */
export function removeTree(directory: number, name: string, depth = 0): void {
  const facts = statChild(directory, name);
  if (facts === null) return;
  if (!isDirectory(facts)) {
    unlinkAt(directory, name, false);
    return;
  }
  if (depth > DEPTH_LIMIT) throw new Failure("invalid_argument", "archive: a tree to remove is too deep");
  {
    using inside = openChild(directory, name, O_RDONLY | O_DIRECTORY);
    for (const entry of listOpenDirectory(inside.number)) removeTree(inside.number, entry.name, depth + 1);
  }
  unlinkAt(directory, name, true);
}
