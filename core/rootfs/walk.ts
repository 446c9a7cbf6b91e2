// Looking at files inside a root that a container controls, without ever following its links on the host: every step
// opens one name below an open directory (/proc/self/fd/<n>/<name>, O_NOFOLLOW), and links are resolved here, within
// the root. A stopped container's root is the stack of its overlay directories; a running one's is /proc/<pid>/root.

import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import type { Bytes } from "../../base/bytes.ts";
import type { Mount } from "../values.ts";

const O_PATH = 0o10000000;
/** Links followed in one look-up. */
const MAX_LINKS = 40;

/** Directories from the top layer to the lowest. */
export interface Root {
  readonly layers: readonly string[];
}

export function rootOfMounts(mounts: readonly Mount[]): Root | null {
  const mount = mounts[0];
  if (mount === undefined || mounts.length !== 1) return null;
  if (mount.type === "bind") return { layers: [mount.source] };
  if (mount.type !== "overlay") return null;
  const option = (name: string) => mount.options.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
  const lower = option("lowerdir")?.split(":") ?? [];
  const upper = option("upperdir");
  return { layers: upper === undefined ? lower : [upper, ...lower] };
}

export function rootOfProcess(pid: number): Root {
  return { layers: [`/proc/${pid}/root`] };
}

export interface Found {
  /** Inside the root, links resolved. */
  path: string;
  stats: Stats;
  /** Where the file (or, of a directory, its top copy) lies on the host, for reading through openInside. */
  layer: string;
}

/** Null when there is no such path. The last name's link is followed, too. */
export function lookUp(root: Root, path: string): Found | null {
  let names = splitPath(path);
  let at: string[] = [];
  for (let links = 0; names.length > 0; ) {
    const name = names.shift()!;
    if (name === "..") {
      at.pop();
      continue;
    }
    const entry = stepInto(root, at, name);
    if (entry === null) return null;
    if (entry.stats.isSymbolicLink()) {
      if (++links > MAX_LINKS) return null;
      const target = entry.link;
      if (target.startsWith("/")) at = [];
      names = [...splitPath(target), ...names];
      continue;
    }
    if (names.length > 0 && !entry.stats.isDirectory()) return null;
    at.push(name);
    if (names.length === 0) return { path: `/${at.join("/")}`, stats: entry.stats, layer: entry.layer };
  }
  const top = openDirectory(root.layers[0]!, []);
  if (top === null) return null;
  try {
    return { path: `/${at.join("/")}`, stats: fstatSync(top), layer: root.layers[0]! };
  } finally {
    closeSync(top);
  }
}

/** The file's bytes, at most `limit`; null when it is missing, no plain file, or larger. */
export function readInside(root: Root, path: string, limit: number): Bytes | null {
  const found = lookUp(root, path);
  if (found === null || !found.stats.isFile() || found.stats.size > limit) return null;
  const fd = openInside(root, found);
  if (fd === null) return null;
  try {
    return readBounded(fd, limit);
  } finally {
    closeSync(fd);
  }
}

/** A descriptor of a plain file that was found; the caller closes it. Null when it changed meanwhile. */
export function openInside(_root: Root, found: Found): number | null {
  const names = splitPath(found.path);
  const name = names.pop();
  const directory = name === undefined ? null : openDirectory(found.layer, names);
  if (directory === null) return null;
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = openSync(`/proc/self/fd/${directory}/${name}`, flags);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return null;
  } catch {
    return null;
  } finally {
    closeSync(directory);
  }
}

/** An entry of a directory whose path is free of links, itself not followed. */
export function lookUpEntry(root: Root, directory: string, name: string): (Found & { link: string }) | null {
  const at = splitPath(directory);
  const entry = stepInto(root, at, name);
  return entry === null ? null : { ...entry, path: `/${[...at, name].join("/")}` };
}

/** Names in a directory over all layers; null when it is none. Opaque directories hide nothing here: their mark is an
 *  extended attribute, which Node cannot read. */
export function listInside(root: Root, path: string): string[] | null {
  const found = lookUp(root, path);
  if (found === null || !found.stats.isDirectory()) return null;
  const names = new Map<string, boolean>();
  for (const layer of root.layers) {
    const directory = openDirectory(layer, splitPath(found.path));
    if (directory === null) continue;
    try {
      for (const name of readdirSync(`/proc/self/fd/${directory}`)) {
        if (names.has(name)) continue;
        const entry = statAt(directory, name);
        if (entry !== null) names.set(name, !isWhiteout(entry));
      }
    } finally {
      closeSync(directory);
    }
  }
  return [...names].filter(([, there]) => there).map(([name]) => name);
}

function splitPath(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function stepInto(root: Root, at: string[], name: string): { stats: Stats; link: string; layer: string } | null {
  for (const layer of root.layers) {
    const directory = openDirectory(layer, at);
    if (directory === null) continue;
    try {
      const stats = statAt(directory, name);
      if (stats === null) continue;
      if (isWhiteout(stats)) return null;
      const link = stats.isSymbolicLink() ? readlinkSync(`/proc/self/fd/${directory}/${name}`) : "";
      return { stats, link, layer };
    } catch {
      return null; // it changed under us
    } finally {
      closeSync(directory);
    }
  }
  return null;
}

/** The caller closes it; null when it is missing or no directory in this layer. */
function openDirectory(layer: string, names: readonly string[]): number | null {
  const flags = O_PATH | constants.O_DIRECTORY;
  let fd: number;
  try {
    fd = openSync(layer, flags); // the layer itself is ours; /proc/<pid>/root is the kernel's own link
  } catch {
    return null;
  }
  for (const name of names) {
    try {
      const next = openSync(`/proc/self/fd/${fd}/${name}`, flags | constants.O_NOFOLLOW);
      closeSync(fd);
      fd = next;
    } catch {
      closeSync(fd);
      return null;
    }
  }
  return fd;
}

function statAt(directory: number, name: string): Stats | null {
  try {
    const fd = openSync(`/proc/self/fd/${directory}/${name}`, O_PATH | constants.O_NOFOLLOW);
    try {
      return fstatSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

function readBounded(fd: number, limit: number): Bytes | null {
  const bytes = new Uint8Array(limit + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    if (count === 0) return bytes.slice(0, length);
    length += count;
    if (length > limit) return null;
  }
}
