// The options of a mount as snapshotters write them (fstab's words): flags of mount(2), what the shim itself has to do
// (a loop device, mapped ids), and the rest, which is the filesystem's own.

import { Failure } from "../../base/errors.ts";
import * as m from "../../linux/mount.ts";

type Change = readonly [clear: boolean, flag: number];

const FLAGS: Readonly<Record<string, Change>> = {
  async: [true, m.MS_SYNCHRONOUS],
  atime: [true, m.MS_NOATIME],
  bind: [false, m.MS_BIND],
  defaults: [false, 0],
  dev: [true, m.MS_NODEV],
  diratime: [true, m.MS_NODIRATIME],
  dirsync: [false, m.MS_DIRSYNC],
  exec: [true, m.MS_NOEXEC],
  mand: [false, m.MS_MANDLOCK],
  noatime: [false, m.MS_NOATIME],
  nodev: [false, m.MS_NODEV],
  nodiratime: [false, m.MS_NODIRATIME],
  noexec: [false, m.MS_NOEXEC],
  nomand: [true, m.MS_MANDLOCK],
  norelatime: [true, m.MS_RELATIME],
  nostrictatime: [true, m.MS_STRICTATIME],
  nosuid: [false, m.MS_NOSUID],
  rbind: [false, m.MS_BIND | m.MS_REC],
  relatime: [false, m.MS_RELATIME],
  remount: [false, m.MS_REMOUNT],
  ro: [false, m.MS_RDONLY],
  rw: [true, m.MS_RDONLY],
  strictatime: [false, m.MS_STRICTATIME],
  suid: [true, m.MS_NOSUID],
  sync: [false, m.MS_SYNCHRONOUS],
};
const PROPAGATION: Readonly<Record<string, number>> = {
  private: m.MS_PRIVATE,
  rprivate: m.MS_PRIVATE | m.MS_REC,
  shared: m.MS_SHARED,
  rshared: m.MS_SHARED | m.MS_REC,
  slave: m.MS_SLAVE,
  rslave: m.MS_SLAVE | m.MS_REC,
  unbindable: m.MS_UNBINDABLE,
  runbindable: m.MS_UNBINDABLE | m.MS_REC,
};
/** Options of containerd's mount manager, which consumes them before a shim sees the mount. */
const MANAGED = "X-containerd.";

export interface MountOptions {
  flags: number;
  propagation: number;
  data: string[];
  /** The source is a file to be put behind a loop device, past the page cache when `direct`. */
  loop: { direct: boolean } | null;
  /** Mappings "container:host:size[,…]", which count only together. */
  idmap: { uids: string; gids: string } | null;
}

export function parseMountOptions(options: readonly string[]): MountOptions {
  const parsed: MountOptions = { flags: 0, propagation: 0, data: [], loop: null, idmap: null };
  const maps = { uids: "", gids: "" };
  for (const option of options) {
    const change = FLAGS[option];
    if (option.startsWith(MANAGED)) throw unmanaged(option);
    if (option === "loop") parsed.loop = { direct: false };
    else if (option.startsWith("uidmap=")) maps.uids = option.slice("uidmap=".length);
    else if (option.startsWith("gidmap=")) maps.gids = option.slice("gidmap=".length);
    else if (change !== undefined) parsed.flags = change[0] ? parsed.flags & ~change[1] : parsed.flags | change[1];
    else if (PROPAGATION[option] !== undefined) parsed.propagation |= PROPAGATION[option];
    else parsed.data.push(option);
  }
  if (maps.uids !== "" && maps.gids !== "") parsed.idmap = maps;
  if (parsed.loop !== null && parsed.data.includes("direct-io")) {
    parsed.loop.direct = true;
    parsed.data = parsed.data.filter((option) => option !== "direct-io");
  }
  return parsed;
}

function unmanaged(option: string): Failure {
  return new Failure("unknown", `internal mount option "${option}" was not consumed by the mount manager`);
}
