// Copying out of a container: what a path is (HEAD) and its archive (GET). Read through core/rootfs, which follows no
// link on the host: a running container by its process's root, with volumes; a stopped one by its layers.

import { closeSync, createReadStream } from "node:fs";
import { posix } from "node:path";
import { type Header, pack } from "tar-stream";
import type { PathStat } from "../../../api/engine/container.ts";
import { Failure } from "../../../base/errors.ts";
import {
  type Found,
  listInside,
  lookUp,
  lookUpEntry,
  openInside,
  type Root,
  rootOfMounts,
  rootOfProcess,
} from "../../../core/rootfs/walk.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { formatTime } from "./record.ts";

type Entry = Found & { link: string };

export interface CopySource {
  root: Root;
  entry: Entry;
  stat: PathStat;
  /** The name of the entry in the archive. */
  name: string;
}

/** Go's os.FileMode, which is what clients read. */
const GO = { directory: 2 ** 31, symlink: 2 ** 27, device: 2 ** 26, pipe: 2 ** 25, socket: 2 ** 24 };
const GO_SETUID = 2 ** 23;
const GO_SETGID = 2 ** 22;
const GO_CHARACTER = 2 ** 21;
const GO_STICKY = 2 ** 20;

export async function findSource(engine: Engine, container: Container, path: string): Promise<CopySource> {
  if (path === "") throw new Failure("invalid_argument", "missing path parameter");
  const root = await rootOf(engine, container);
  const entry = findEntry(root, path);
  if (entry === null) {
    throw new Failure("not_found", `Could not find the file ${path} in container ${container.record.name}`);
  }
  const name = /(^|\/)\.$/.test(path) ? "." : posix.basename(entry.path) || "/";
  const { stats } = entry;
  const size = stats.isDirectory() ? 4096 : stats.size;
  const stat = { name, size, mode: goMode(stats.mode), mtime: formatTime(stats.mtimeMs), linkTarget: entry.link };
  return { root, entry, stat, name };
}

async function rootOf(engine: Engine, container: Container): Promise<Root> {
  if (container.running) return rootOfProcess(container.record.state.pid);
  const root = rootOfMounts(await engine.containerd.snapshots.mounts(container.id));
  if (root === null) throw new Failure("unimplemented", "this snapshotter's mounts cannot be read from here");
  return root;
}

/** The last name's link is followed only where the path says that it must be a folder. */
function findEntry(root: Root, path: string): Entry | null {
  const clean = posix.normalize(`/${path}`).replace(/(.)\/$/, "$1");
  if (clean === "/" || /\/\.?$/.test(path)) {
    const found = lookUp(root, clean);
    return found === null || !found.stats.isDirectory() ? null : { ...found, link: "" };
  }
  const parent = lookUp(root, posix.dirname(clean));
  if (parent === null || !parent.stats.isDirectory()) return null;
  return lookUpEntry(root, parent.path, posix.basename(clean));
}

function goMode(mode: number): number {
  const kinds: Record<number, number> = {
    9604: GO.directory,
    21609: GO.symlink,
    14406: GO.device,
    4802: GO.device + GO_CHARACTER,
    2401: GO.pipe,
    26411: GO.socket,
  };
  const special = (mode & 0o4000 ? GO_SETUID : 0) + (mode & 0o2000 ? GO_SETGID : 0) + (mode & 0o1000 ? GO_STICKY : 0);
  return (mode & 0o777) + special + (kinds[mode & 0o170000] ?? 0);
}

export function archiveOf({ root, entry, name }: CopySource): AsyncIterable<Uint8Array> {
  const tar = pack();
  addEntry(tar, root, { entry, name }).then(
    () => tar.finalize(),
    (thrown) => tar.destroy(thrown as Error),
  );
  return tar as unknown as AsyncIterable<Uint8Array>;
}

async function addEntry(tar: ReturnType<typeof pack>, root: Root, of: { entry: Entry; name: string }): Promise<void> {
  const { stats, path, link } = of.entry;
  const header: Header = {
    name: of.name,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    mtime: stats.mtime,
  } as Header;
  if (stats.isSymbolicLink()) return addPlain(tar, { ...header, type: "symlink", linkname: link } as Header);
  if (stats.isFile()) return addFile(tar, root, { header, entry: of.entry });
  if (!stats.isDirectory()) return; // devices, pipes and sockets are not for another machine
  await addPlain(tar, { ...header, name: `${of.name}/`, type: "directory" } as Header);
  for (const child of listInside(root, path) ?? []) {
    const entry = lookUpEntry(root, path, child);
    if (entry !== null) await addEntry(tar, root, { entry, name: `${of.name}/${child}` });
  }
}

function addPlain(tar: ReturnType<typeof pack>, header: Header): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry(header, (error?: Error | null) => (error ? reject(error) : resolve())).end(null as never);
  });
}

/** Exactly as many bytes as the header says: a file that grows is cut, one that shrinks is an error. */
async function addFile(tar: ReturnType<typeof pack>, root: Root, of: { header: Header; entry: Entry }): Promise<void> {
  const fd = openInside(root, of.entry);
  if (fd === null) return; // it went meanwhile
  const { size } = of.entry.stats;
  if (size === 0) {
    closeSync(fd);
    return addPlain(tar, { ...of.header, size: 0 });
  }
  const source = createReadStream("", { fd, start: 0, end: size - 1 });
  await new Promise<void>((resolve, reject) => {
    const sink = tar.entry({ ...of.header, size }, (error?: Error | null) => (error ? reject(error) : resolve()));
    void (async () => {
      for await (const piece of source) {
        if (!sink.write(piece)) await new Promise<void>((drained) => sink.once("drain", () => drained()));
      }
      sink.end(null as never);
    })().catch(reject);
  });
}
