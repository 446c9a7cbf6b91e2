// The files of a log as they lie in its folder while somebody else renames them: <path> and, older and older, <path>.1
// <path>.2 ..., each of these perhaps compressed to <path>.<n>.gz. Opened, they stay what they are, whatever becomes of
// their names.

import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readHeader } from "./gzip.ts";

/** Attempts to see all files between two renames, and milliseconds between them. */
const ATTEMPTS = 50;
const ATTEMPT_INTERVAL = 2;
/** After so many a gap in the numbers is no rotation under way but how things are. */
const GAP_ATTEMPTS = 5;

export interface OpenLog {
  handle: FileHandle;
  compressed: boolean;
  /** Of the file that was written; a compressed one knows of which it was made. 0 when it does not. */
  inode: number;
  /** Nanoseconds since 1970: no record in it is newer. Null when that is not known. */
  lastTime: string | null;
}

/** Oldest first; the last one is the file that is written, unless there is none. */
export async function openLogs(path: string): Promise<OpenLog[]> {
  for (let attempt = 1; ; attempt++) {
    const names = await listLogs(path);
    if (!hasGap(path, names) || attempt > GAP_ATTEMPTS) {
      // Files that are renamed faster than they can be opened are taken as they come.
      const opened = await tryOpen(path, names, attempt < ATTEMPTS);
      if (opened !== null) return opened;
    }
    await sleep(ATTEMPT_INTERVAL);
  }
}

export async function closeLogs(logs: readonly OpenLog[]): Promise<void> {
  for (const { handle } of logs) await handle.close().catch(() => {});
}

/** The files that came after the one with this inode, oldest first; none while it is still the newest. */
export async function openSuccessors(path: string, inode: number | null): Promise<OpenLog[]> {
  if (inode !== null && (await stat(path).catch(() => null))?.ino === inode) return [];
  const logs = await openLogs(path);
  // The newest of that number: the inode of a file that is gone may be another's today.
  const at = logs.findLastIndex((log) => log.inode === inode);
  await closeLogs(logs.splice(0, at + 1));
  return logs;
}

/** Paths, oldest first. Of a file that is there in both forms the plain one: its compressed form is being put in. */
async function listLogs(path: string): Promise<string[]> {
  const name = basename(path);
  const found = new Map<number, string>();
  for (const one of await readdir(dirname(path)).catch(() => [])) {
    if (!one.startsWith(name)) continue;
    const match = /^(?:\.(\d{1,6})(\.gz)?)?$/.exec(one.slice(name.length));
    if (match === null) continue;
    const number = Number(match[1] ?? 0);
    if (match[2] === undefined || !found.has(number)) found.set(number, join(dirname(path), one));
  }
  return [...found].toSorted(([a], [b]) => b - a).map(([, one]) => one);
}

/** Whether a number is missing between the file that is written and the oldest: so it looks while files are renamed. */
function hasGap(path: string, names: readonly string[]): boolean {
  return names.toReversed().some((name, number) => {
    const expected = number === 0 ? path : `${path}.${number}`;
    return name !== expected && name !== `${expected}.gz`;
  });
}

/** Null when names changed meanwhile, if that is minded. */
async function tryOpen(path: string, names: readonly string[], strict: boolean): Promise<OpenLog[] | null> {
  const logs: OpenLog[] = [];
  const inodes: number[] = [];
  for (const name of names) {
    const handle = await open(name, "r").catch(() => null);
    if (handle === null && strict) break;
    if (handle === null) continue;
    inodes.push((await handle.stat()).ino);
    const compressed = name.endsWith(".gz");
    const header = compressed ? await readHeader(handle) : null;
    const inode = compressed ? (header?.inode ?? 0) : inodes.at(-1)!;
    logs.push({ handle, compressed, inode, lastTime: header?.lastTime ?? null });
  }
  const now = await Promise.all(names.map(async (name) => (await stat(name).catch(() => null))?.ino ?? 0));
  // Once more, because a name that is changed while its folder is listed may be seen neither as before nor as after.
  const again = (await listLogs(path)).join("/");
  const same = again === names.join("/") && now.every((inode, at) => inode === inodes[at]);
  if (!strict || (logs.length === names.length && same)) return logs;
  await closeLogs(logs);
  return null;
}
