// Stage: /dev. The devices every container has, those of config.json, the usual links. Skipped when config.json binds
// another /dev. All relative to a descriptor of the container's own /dev.

import { setUmask } from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { EEXIST, EPERM, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { attach, cloneTree, openInRoot } from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import { cleanPath } from "../spec/check.ts";
import type { DeviceSpec } from "../spec/schema.ts";
import type { Birth } from "./birth.ts";
import { ensureParent, ensureTarget } from "./target.ts";

/** struct stat: its size and where the mode and the device's number are; 1:3 is null. */
const STAT_SIZE = 144;
const STAT_MODE = 24;
const STAT_RDEV = 40;
const NULL_DEVICE = 0x103;

interface Node {
  path: string;
  type: string;
  major: number;
  minor: number;
  mode: number;
  uid: number;
  gid: number;
}

const STANDARD = [
  ["null", 1, 3],
  ["random", 1, 8],
  ["full", 1, 7],
  ["tty", 5, 0],
  ["zero", 1, 5],
  ["urandom", 1, 9],
] as const;

/** Every container has them. */
export const STANDARD_DEVICES = STANDARD.map(([name]) => `/dev/${name}`);

const LINKS = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
] as const;

export function needsDevices({ plan }: Birth): boolean {
  return plan.mounts.length > 0 && !plan.mounts.some((mount) => mount.bind && cleanPath(mount.destination) === "/dev");
}

export function makeDevices(birth: Birth): void {
  // Modes are exact: the umask would take bits away.
  const before = setUmask(0);
  using dev = ensureTarget(birth.root.number, "/dev", "directory");
  const named = new Set(birth.plan.linux.devices.map((device) => cleanPath(device.path)));
  for (const [name, major, minor] of STANDARD) {
    const node = { path: `/dev/${name}`, type: "c", major, minor, mode: 0o666, uid: 0, gid: 0 };
    if (!named.has(node.path)) makeNode(birth, { parent: dev.number, name }, node);
  }
  for (const device of birth.plan.linux.devices) makeOther(birth, device);
  link("pts/ptmx", dev.number, "ptmx", true);
  for (const [target, name] of LINKS) link(target, dev.number, name, false);
  if (fs.stat("/proc/kcore") !== null) link("/proc/kcore", dev.number, "core", false);
  setUmask(before);
}

function makeOther(birth: Birth, device: DeviceSpec): void {
  const path = cleanPath(device.path);
  // What the kernel or a later stage provides by itself.
  if (path === "/dev/ptmx" || path === "/dev/console") return;
  const { parent, name } = ensureParent(birth.root.number, path);
  using at = parent;
  makeNode(
    birth,
    { parent: at.number, name },
    {
      path,
      type: device.type,
      major: Number(device.major),
      minor: Number(device.minor),
      mode: device.fileMode ?? 0o666,
      uid: device.uid ?? 0,
      gid: device.gid ?? 0,
    },
  );
}

const TYPES: Readonly<Record<string, number>> = { c: fs.S_IFCHR, u: fs.S_IFCHR, b: fs.S_IFBLK, p: fs.S_IFIFO };

function makeNode(birth: Birth, at: { parent: number; name: string }, node: Node): void {
  // In a user namespace mknod is refused, so the host's device is bound.
  if (birth.plan.namespaces.has("user")) {
    bindNode(birth, node);
    return;
  }
  const type = TYPES[node.type]!;
  const number = deviceNumber(node.major, node.minor);
  const make = () => door().syscall(nr.SYS_mknodat, at.parent, at.name, type | (node.mode & 0o7777), number);
  let made = make();
  if (made === -EEXIST) {
    if (isSame(fs.statAt(at.parent, at.name, fs.AT_SYMLINK_NOFOLLOW), type, node)) return;
    must("unlink", node.path, door().syscall(nr.SYS_unlinkat, at.parent, at.name, 0));
    made = make();
  }
  if (made === -EPERM) {
    bindNode(birth, node);
    return;
  }
  must("mknod", node.path, made);
  if (node.uid === 0 && node.gid === 0) return;
  const owned = door().syscall(nr.SYS_fchownat, at.parent, at.name, node.uid, node.gid, fs.AT_SYMLINK_NOFOLLOW);
  must("chown", node.path, owned);
}

function isSame(found: fs.Stat | null, type: number, node: Node): boolean {
  if (found === null || (found.mode & fs.S_IFMT) !== type) return false;
  return type === fs.S_IFIFO || (found.rdev.major === node.major && found.rdev.minor === node.minor);
}

function bindNode(birth: Birth, node: Node): void {
  using source = cloneTree(fs.AT_FDCWD, node.path, false);
  using target = ensureTarget(birth.root.number, node.path, "file");
  attach(source.number, target.number);
}

/** Standard descriptors that are the host's /dev/null become the container's own: through an open file the host's mode
 *  could be changed, and a checkpoint cannot hold a file of the host. */
export function ownNull(birth: Birth): void {
  const facts = new Uint8Array(STAT_SIZE);
  const view = new DataView(facts.buffer);
  let own: fs.Fd | null = null;
  for (const standard of [0, 1, 2]) {
    // Only what is asked: fs.statFd reads all of it, and this is paid for at every start.
    if (door().syscall(nr.SYS_fstat, standard, facts) < 0) continue;
    const device = (view.getUint32(STAT_MODE, true) & fs.S_IFMT) === fs.S_IFCHR;
    if (!device || view.getUint32(STAT_RDEV, true) !== NULL_DEVICE) continue;
    own ??= openInRoot(birth.root.number, "/dev/null", fs.O_RDWR);
    fs.duplicateTo(own.number, standard);
  }
  own?.close();
}

/** dev_t as mknod takes it: the kernel's new encoding in 32 bits. */
function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + (minor & 0xfff00) * 0x1000;
}

/** `replace`: what an image put there goes (an old /dev/ptmx device would open the host's terminals). */
function link(target: string, dev: number, name: string, replace: boolean): void {
  const make = () => door().syscall(nr.SYS_symlinkat, target, dev, name);
  let made = make();
  if (made === -EEXIST) {
    if (!replace) return;
    must("unlink", name, door().syscall(nr.SYS_unlinkat, dev, name, 0));
    made = make();
  }
  must("symlink", name, made);
}
