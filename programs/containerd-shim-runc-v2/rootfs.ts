// The mounts that make a task's root filesystem: what the snapshotter asked for, made before the runtime is called and
// undone after it is done.

import type { Mount } from "../../api/containerd/gen/types.ts";
import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import { SYS_fchdir } from "../../linux/numbers.ts";

type Change = readonly [clear: boolean, flag: number];

const OPTIONS: Readonly<Record<string, Change>> = {
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
/** The kernel takes one page of options; a little is kept for what it adds. */
const DATA_LIMIT = 4096 - 512;

/** Mounts all of them, or none. */
export function mountRootfs(mounts: readonly Mount[], rootfs: string): void {
  if (mounts.length === 0) return;
  fd.makeDirectories(rootfs, 0o711);
  try {
    for (const one of mounts) mountOne(one, one.target === "" ? rootfs : `${rootfs}/${one.target}`);
  } catch (thrown) {
    unmountAll(rootfs);
    throw thrown;
  }
}

/** Everything that is stacked on the path. */
export function unmountAll(path: string): void {
  while (m.unmountIfMounted(path, m.UMOUNT_NOFOLLOW));
}

function mountOne(one: Mount, target: string): void {
  let flags = 0;
  let propagation = 0;
  const data: string[] = [];
  for (const option of one.options) {
    const change = OPTIONS[option];
    if (option === "loop")
      throw new Failure("unimplemented", `mount ${target}: loop devices are not set up by the shim`);
    if (change !== undefined) flags = change[0] ? flags & ~change[1] : flags | change[1];
    else if (PROPAGATION[option] !== undefined) propagation |= PROPAGATION[option];
    else data.push(option);
  }
  const type = one.type === "bind" ? "" : one.type;
  const bind = (flags & m.MS_BIND) !== 0;
  callMount({ source: one.source, target, type, flags: bind ? flags & (m.MS_BIND | m.MS_REC) : flags, data });
  const more = flags & ~(m.MS_BIND | m.MS_REC);
  // A bind takes its other flags only in a second step.
  if (bind && more !== 0) callMount({ source: null, target, type: "", flags: flags | m.MS_REMOUNT, data: [] });
  if (propagation !== 0) callMount({ source: null, target, type: "", flags: propagation, data: [] });
}

interface Call {
  source: string | null;
  target: string;
  type: string;
  flags: number;
  data: string[];
}

function callMount(call: Call): void {
  const text = call.data.join(",");
  const { source, target, type, flags } = call;
  if (text.length < DATA_LIMIT) {
    m.mount({ source, target, type, flags, data: text });
    return;
  }
  using before = fd.open(".", fd.O_PATH | fd.O_DIRECTORY);
  const short = fromCommonDirectory(call.data);
  try {
    fd.changeDirectory(short.directory);
    m.mount({ source, target, type, flags, data: short.data.join(",") });
  } finally {
    must("fchdir", "", door().syscall(SYS_fchdir, before.number));
  }
}

/** Many layers: their directories relative to what they have in common, from where the mount is made. */
function fromCommonDirectory(data: readonly string[]): { directory: string; data: string[] } {
  const lower = data.find((option) => option.startsWith("lowerdir="));
  const layers = lower?.slice("lowerdir=".length).split(":") ?? [];
  let common = layers[0] ?? "/";
  for (const layer of layers) while (!layer.startsWith(common)) common = common.slice(0, -1);
  const directory = common.slice(0, common.lastIndexOf("/") + 1);
  if (layers.length < 2 || directory.length < 2) throw new Failure("invalid_argument", "mount options are too long");
  const relative = `lowerdir=${layers.map((layer) => layer.slice(directory.length)).join(":")}`;
  return { directory, data: data.map((option) => (option === lower ? relative : option)) };
}
