// A new, empty volume gets what the image has at its place: files, folders and links with their modes, owners and
// times. Read layer by layer through the careful walk, because the image is not mounted anywhere yet.

import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Found, listInside, lookUp, lookUpEntry, openInside, type Root } from "../../../core/rootfs/walk.ts";
import type { MountPoint } from "../containers/record.ts";
import type { Log } from "../engine.ts";

const PIECE_BYTES = 256 * 1024;

/** Does nothing when the volume has anything in it. */
export async function seedVolume(log: Log, root: Root, point: MountPoint): Promise<void> {
  if (readdirSync(point.Source).length > 0) return;
  const from = lookUp(root, point.Destination);
  if (from === null || !from.stats.isDirectory()) return;
  copyChildren(log, root, { from: from.path, to: point.Source });
  applyFacts(point.Source, from);
}

interface Copy {
  from: string;
  to: string;
}

function copyChildren(log: Log, root: Root, { from, to }: Copy): void {
  for (const name of listInside(root, from) ?? []) {
    const entry = lookUpEntry(root, from, name);
    if (entry === null) continue;
    const path = join(to, name);
    const { stats } = entry;
    if (stats.isDirectory()) {
      mkdirSync(path, { mode: 0o700 });
      copyChildren(log, root, { from: entry.path, to: path });
    } else if (stats.isSymbolicLink()) symlinkSync(entry.link, path);
    else if (stats.isFile()) copyFile(root, entry, path);
    else {
      log.warn(`volume seed: ${entry.path} is a special file and is left out`);
      continue;
    }
    applyFacts(path, entry);
  }
}

function copyFile(root: Root, entry: Found, path: string): void {
  const source = openInside(root, entry);
  if (source === null) return;
  const target = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    for (let count = readSync(source, piece); count > 0; count = readSync(source, piece)) {
      for (let at = 0; at < count; ) at += writeSync(target, piece, at, count - at);
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

function applyFacts(path: string, { stats }: Found): void {
  lchownSync(path, stats.uid, stats.gid);
  if (!stats.isSymbolicLink()) chmodSync(path, stats.mode & 0o7777);
  lutimesSync(path, stats.atimeMs / 1000, stats.mtimeMs / 1000);
}
