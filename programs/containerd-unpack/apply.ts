// Applying a layer: each entry of the archive becomes what it says, whiteouts remove what lower layers have.
//
//     entry ─▶ validated path ─▶ whiteout?  ─▶ removed from below
//                             └▶ make room  ─▶ made ─▶ owner ─▶ attributes ─▶ mode ─▶ times
//                                                                  directories' times at the very end ─▶ syncfs (main)
//
// The root is empty or an overlay with the layers below, so removing a file there makes overlayfs write its own
// whiteout. Owner comes before attributes and mode, because chown clears capabilities and setuid bits.

import type { ApplyAnswer } from "../../api/unpack/unpack.ts";
import { Failure } from "../../base/errors.ts";
import type { Entry } from "../../core/archive/tar/header.ts";
import { type BlockingRead, TarReader } from "../../core/archive/tar/reader.ts";
import { EOPNOTSUPP, EPERM, SyscallFailure } from "../../linux/errno.ts";
import { listDirectory, O_CREAT, O_EXCL, O_WRONLY, S_IFBLK, S_IFCHR, S_IFIFO, writeAll } from "../../linux/fd.ts";
import * as tree from "../../linux/tree.ts";
import { cleanPath, isDirectory, Places, removeTree, statChild } from "./place.ts";

const COPY_BUFFER = 256 << 10; // bytes
const BYTES_LIMIT = 2 ** 40; // bytes of content in one layer
const WHITEOUT = ".wh.";
const AUFS_PREFIX = ".wh..wh.";
const OPAQUE = ".wh..wh..opq";
/** Attributes that steer overlayfs itself: from an image they could name other directories of the host. */
const OVERLAY_ATTRIBUTE = /^(trusted|user)\.overlay\./;

interface LateTime {
  parts: string[];
  modified: bigint;
}

export function applyLayer(root: number, source: BlockingRead): ApplyAnswer {
  const layer = new LayerWriter(root, source);
  try {
    return layer.run();
  } finally {
    layer[Symbol.dispose]();
  }
}

class LayerWriter implements Disposable {
  private readonly places: Places;
  private readonly root: number;
  private readonly source: BlockingRead;
  private readonly archive: TarReader;
  private readonly buffer = new Uint8Array(COPY_BUFFER);
  /** Paths that this layer made: an opaque mark removes only what was below before. */
  private readonly made = new Set<string>();
  private readonly late: LateTime[] = [];
  private readonly answer: ApplyAnswer = { entries: 0, bytes: 0 };

  constructor(root: number, source: BlockingRead) {
    this.root = root;
    this.places = new Places(root);
    this.source = source;
    this.archive = new TarReader(source);
  }

  run(): ApplyAnswer {
    for (let entry = this.archive.next(); entry !== null; entry = this.archive.next()) this.apply(entry);
    for (const { parts, modified } of this.late.toReversed()) this.setDirectoryTime(parts, modified);
    // What follows the end mark belongs to the layer's digest and must be drained, or the writer gets SIGPIPE.
    while (this.source(this.buffer) > 0);
    return this.answer;
  }

  [Symbol.dispose](): void {
    this.places.forget();
  }

  private apply(entry: Entry): void {
    const parts = cleanPath(entry.name);
    this.answer.entries++;
    if (parts.length === 0) {
      this.applyRoot(entry);
      return;
    }
    const name = parts.at(-1)!;
    const above = parts.slice(0, -1);
    if (name.startsWith(WHITEOUT)) {
      this.whiteout(above, name);
      return;
    }
    const directory = this.places.directory(above);
    this.makeRoom(directory, name, entry);
    this.make(entry, { directory, name });
    this.finish(entry, { directory, name });
    this.made.add(parts.join("/"));
    if (entry.kind === "directory") this.late.push({ parts, modified: entry.modified });
  }

  private applyRoot(entry: Entry): void {
    if (entry.kind !== "directory") throw new Failure("invalid_argument", "archive: the root is not a directory");
    this.finish(entry, { directory: this.root, name: "." });
    this.late.push({ parts: [], modified: entry.modified });
  }

  private whiteout(above: string[], name: string): void {
    if (name === OPAQUE) {
      this.makeOpaque(above);
      return;
    }
    if (name.startsWith(AUFS_PREFIX)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") {
      throw new Failure("invalid_argument", `archive: invalid whiteout name ${JSON.stringify(name)}`);
    }
    const directory = this.places.directory(above);
    if (isDirectory(statChild(directory, hidden))) this.dropHeld();
    removeTree(this.places.directory(above), hidden);
  }

  private makeOpaque(above: string[]): void {
    const prefix = above.length === 0 ? "" : `${above.join("/")}/`;
    const children = listDirectory(".", this.places.directory(above));
    this.dropHeld();
    for (const { name } of children) this.removeOld(above, prefix, name);
  }

  /** Removes what this layer did not make, and goes into directories that it did make. */
  private removeOld(above: string[], prefix: string, name: string): void {
    const path = prefix + name;
    if (!this.made.has(path)) {
      removeTree(this.places.directory(above), name);
      return;
    }
    if (!isDirectory(statChild(this.places.directory(above), name))) return;
    const inside = [...above, name];
    for (const child of listDirectory(".", this.places.directory(inside)))
      this.removeOld(inside, `${path}/`, child.name);
  }

  private makeRoom(directory: number, name: string, entry: Entry): void {
    const facts = statChild(directory, name);
    if (facts === null || (isDirectory(facts) && entry.kind === "directory")) return;
    removeTree(directory, name);
  }

  private make(entry: Entry, at: { directory: number; name: string }): void {
    const node = { major: entry.major, minor: entry.minor };
    if (entry.kind === "file") this.makeFile(entry, at);
    else if (entry.kind === "directory") {
      if (statChild(at.directory, at.name) === null) tree.makeDirectoryAt(at.directory, at.name, 0o700);
    } else if (entry.kind === "symlink") tree.makeSymlinkAt(at.directory, at.name, entry.target);
    else if (entry.kind === "link") this.makeLink(entry, at);
    else if (entry.kind === "fifo")
      tree.makeNodeAt(at.directory, at.name, { mode: S_IFIFO | 0o600, major: 0, minor: 0 });
    else {
      if (entry.kind === "character" && node.major === 0 && node.minor === 0) {
        throw new Failure("invalid_argument", `archive: ${JSON.stringify(entry.name)} is a raw overlay whiteout`);
      }
      const type = entry.kind === "character" ? S_IFCHR : S_IFBLK;
      tree.makeNodeAt(at.directory, at.name, { mode: type | 0o600, ...node });
    }
  }

  private makeFile(entry: Entry, at: { directory: number; name: string }): void {
    this.answer.bytes += entry.size;
    if (this.answer.bytes > BYTES_LIMIT) throw new Failure("resource_exhausted", "archive: the layer is too large");
    using file = tree.openChild(at.directory, at.name, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    for (let got = this.archive.read(this.buffer); got > 0; got = this.archive.read(this.buffer)) {
      writeAll(file.number, this.buffer.subarray(0, got));
    }
  }

  private makeLink(entry: Entry, at: { directory: number; name: string }): void {
    const parts = cleanPath(entry.target);
    const name = parts.at(-1);
    const from = name === undefined ? null : tree.openInRoot(this.root, parts.slice(0, -1).join("/"));
    if (from === null || name === undefined) {
      throw new Failure(
        "invalid_argument",
        `archive: hard link to ${JSON.stringify(entry.target)}, which is not there`,
      );
    }
    using held = from;
    tree.makeLinkAt({ directory: held.number, name }, at);
  }

  private finish(entry: Entry, at: { directory: number; name: string }): void {
    // A hard link shares the inode of an entry that has been finished.
    if (entry.kind === "link") return;
    tree.chownAt(at.directory, at.name, entry);
    for (const [key, value] of entry.xattrs) setAttribute(at, key, value);
    if (entry.kind !== "symlink") tree.chmodAt(at.directory, at.name, entry.mode);
    if (entry.kind !== "directory") tree.setTimesAt(at.directory, at.name, entry.modified);
  }

  private setDirectoryTime(parts: string[], modified: bigint): void {
    if (parts.length === 0) {
      tree.setTimesAt(this.root, ".", modified);
      return;
    }
    const directory = this.places.directory(parts.slice(0, -1));
    const name = parts.at(-1)!;
    // A later entry may have replaced it.
    if (isDirectory(statChild(directory, name))) tree.setTimesAt(directory, name, modified);
  }

  private dropHeld(): void {
    this.places.forget();
  }
}

/** Attributes of other namespaces may be refused (EPERM in a user namespace, EOPNOTSUPP by the file system). */
function setAttribute(at: { directory: number; name: string }, key: string, value: Uint8Array): void {
  if (OVERLAY_ATTRIBUTE.test(key)) return;
  const errno = tree.setXattrAt(at, key, value);
  if (errno === 0 || errno === EOPNOTSUPP) return;
  if (errno === EPERM && (key.startsWith("user.") || key.startsWith("trusted."))) return;
  throw new SyscallFailure("setxattr", errno, `${key} on ${at.name}`);
}
