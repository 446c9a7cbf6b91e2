// The difference of two trees as a tar archive: what is new or changed in `upper`, a whiteout for what is gone.
// With no lower tree it is an archive of everything. Both are walked together, each directory's names in order.
//
// Two files count as equal when owner, mode, size, device, attributes and modification time are: a change of content
// that leaves the time alone to the nanosecond is not seen, as with the original.

import { type Bytes, concatBytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { type Entry, type EntryKind, formatEntry, padding } from "../../core/archive/tar/header.ts";
import * as fd from "../../linux/fd.ts";
import { getXattrAt, listXattrsAt, openChild } from "../../linux/tree.ts";
import { statChild } from "./place.ts";

const COPY_BUFFER = 256 << 10; // bytes
const DEPTH_LIMIT = 1024; // levels of directories
const WHITEOUT = ".wh.";

type Write = (bytes: Uint8Array) => void;

interface Facts extends fd.Stat {
  kind: EntryKind;
}

export function writeDiff(roots: { lower: number | null; upper: number }, write: Write): void {
  const walk = new DiffWalk(write);
  walk.directory(roots, "", 0);
  write(new Uint8Array(1024));
}

class DiffWalk {
  private readonly write: Write;
  private readonly buffer = new Uint8Array(COPY_BUFFER);
  /** Path of the first name of an inode that has several. */
  private readonly links = new Map<string, string>();
  /** Directories on the way that are in the archive already, so that a changed file's parents come before it. */
  private readonly announced = new Set<string>();
  private readonly parents: { path: string; at: { directory: number; name: string } }[] = [];

  constructor(write: Write) {
    this.write = write;
  }

  directory(open: { lower: number | null; upper: number }, prefix: string, depth: number): void {
    if (depth > DEPTH_LIMIT) throw new Failure("invalid_argument", "a tree is too deep");
    const below = new Set(open.lower === null ? [] : names(open.lower));
    const above = names(open.upper);
    const all = [...new Set([...above, ...below])].toSorted((a, b) => (a < b ? -1 : 1));
    const here = new Set(above);
    for (const name of all) {
      const path = prefix + name;
      if (!here.has(name)) {
        this.announceParents();
        this.whiteout(prefix, name);
        continue;
      }
      const upper = factsOf(open.upper, name);
      if (upper === null) continue;
      const lower = below.has(name) ? factsOf(open.lower!, name) : null;
      const at = { directory: open.upper, name };
      const same =
        lower !== null &&
        this.same({ directory: open.lower!, facts: lower }, { directory: open.upper, facts: upper }, name);
      if (upper.kind === "directory")
        this.enter({ ...open, at, path, depth, upperFacts: upper, lowerFacts: lower, same });
      else if (!same) {
        this.announceParents();
        this.entry(path, at, upper);
      }
    }
  }

  private enter(step: {
    lower: number | null;
    upper: number;
    at: { directory: number; name: string };
    path: string;
    depth: number;
    upperFacts: Facts;
    lowerFacts: Facts | null;
    same: boolean;
  }): void {
    const { at, path } = step;
    this.parents.push({ path, at });
    if (!step.same) this.announceParents();
    const flags = fd.O_RDONLY | fd.O_DIRECTORY;
    using upper = openChild(step.upper, at.name, flags);
    using lower = step.lowerFacts?.kind === "directory" ? openChild(step.lower!, at.name, flags) : null;
    this.directory({ lower: lower?.number ?? null, upper: upper.number }, `${path}/`, step.depth + 1);
    this.parents.pop();
  }

  private announceParents(): void {
    for (const { path, at } of this.parents) {
      if (this.announced.has(path)) continue;
      this.announced.add(path);
      const facts = factsOf(at.directory, at.name);
      if (facts !== null) this.entry(path, at, facts);
    }
  }

  private whiteout(prefix: string, name: string): void {
    this.write(
      formatEntry({
        ...{ name: `${prefix}${WHITEOUT}${name}`, kind: "file", mode: 0, uid: 0, gid: 0, size: 0, modified: 0n },
        ...{ target: "", major: 0, minor: 0, xattrs: new Map() },
      }),
    );
  }

  private same(
    lower: { directory: number; facts: Facts },
    upper: { directory: number; facts: Facts },
    name: string,
  ): boolean {
    const [a, b] = [lower.facts, upper.facts];
    if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
    if (a.rdev.major !== b.rdev.major || a.rdev.minor !== b.rdev.minor) return false;
    if (a.kind !== "directory" && (a.size !== b.size || a.modified !== b.modified)) return false;
    if (a.kind === "symlink" && fd.readLink(name, lower.directory) !== fd.readLink(name, upper.directory)) return false;
    return sameAttributes(xattrsOf(lower.directory, name), xattrsOf(upper.directory, name));
  }

  private entry(path: string, at: { directory: number; name: string }, facts: Facts): void {
    const identity = `${facts.device}:${facts.inode}`;
    const first = facts.links > 1 && facts.kind !== "directory" ? (this.links.get(identity) ?? null) : null;
    if (facts.links > 1 && facts.kind !== "directory" && first === null) this.links.set(identity, path);
    const kind = first === null ? facts.kind : "link";
    const device = kind === "character" || kind === "block";
    const entry: Entry = {
      name: kind === "directory" ? `${path}/` : path,
      kind,
      mode: facts.mode % 0o10000,
      uid: facts.uid,
      gid: facts.gid,
      size: kind === "file" ? facts.size : 0,
      modified: facts.modified,
      target: first ?? (kind === "symlink" ? fd.readLink(at.name, at.directory) : ""),
      major: device ? facts.rdev.major : 0,
      minor: device ? facts.rdev.minor : 0,
      xattrs: kind === "link" ? new Map() : xattrsOf(at.directory, at.name),
    };
    this.write(formatEntry(entry));
    if (kind === "file") this.content(at, facts.size);
  }

  /** Exactly `size` bytes: what a file gained since is left out, what it lost is zeros. */
  private content(at: { directory: number; name: string }, size: number): void {
    using file = openChild(at.directory, at.name, fd.O_RDONLY);
    let left = size;
    while (left > 0) {
      const got = fd.read(file.number, this.buffer.subarray(0, Math.min(left, this.buffer.length))) ?? 0;
      if (got === 0) break;
      this.write(this.buffer.subarray(0, got));
      left -= got;
    }
    for (let zeros = left + padding(size); zeros > 0; ) {
      const piece = new Uint8Array(Math.min(zeros, COPY_BUFFER));
      this.write(piece);
      zeros -= piece.length;
    }
  }
}

const KINDS: Readonly<Record<number, EntryKind>> = {
  [fd.S_IFREG]: "file",
  [fd.S_IFDIR]: "directory",
  [fd.S_IFLNK]: "symlink",
  [fd.S_IFCHR]: "character",
  [fd.S_IFBLK]: "block",
  [fd.S_IFIFO]: "fifo",
};

/** Null for sockets, which no archive can hold. */
function factsOf(directory: number, name: string): Facts | null {
  const facts = statChild(directory, name);
  const kind = facts === null ? undefined : KINDS[facts.mode & fd.S_IFMT];
  return facts === null || kind === undefined ? null : { ...facts, kind };
}

function names(directory: number): string[] {
  return fd.listDirectory(".", directory).map((entry) => entry.name);
}

function xattrsOf(directory: number, name: string): Map<string, Bytes> {
  const found = new Map<string, Bytes>();
  for (const key of listXattrsAt(directory, name)) {
    if (key !== "security.capability" && !key.startsWith("user.")) continue;
    if (key.startsWith("user.overlay.")) continue;
    const value = getXattrAt({ directory, name }, key);
    if (value !== null) found.set(key, concatBytes([value]));
  }
  return found;
}

function sameAttributes(a: ReadonlyMap<string, Bytes>, b: ReadonlyMap<string, Bytes>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || other.length !== value.length || other.some((byte, at) => byte !== value[at]))
      return false;
  }
  return true;
}
