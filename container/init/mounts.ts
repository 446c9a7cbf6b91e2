// Stage: the mounts of config.json, each made detached and then attached onto a descriptor inside the new root.
// One that fails is named with its source and destination, as runc names it.

import { Failure, messageOf } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";
import { door } from "../../linux/door.ts";
import { EACCES, ENOENT, EPERM, errnoOf, errnoSentence, must, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import { receiveDescriptor } from "../../linux/socket.ts";
import type { Plan } from "../plan.ts";
import { cleanPath } from "../spec/check.ts";
import type { MountPlan } from "../spec/mounts.ts";
import { applyAttributes } from "./attributes.ts";
import type { Birth } from "./birth.ts";
import { mountCgroups } from "./cgroupfs.ts";
import { copyUp } from "./copyup.ts";
import { idmapNamespace } from "./idmap.ts";
import { ensureTarget, findTarget } from "./target.ts";

/** Files under /proc that others may replace by a bind: what lxcfs and the like provide. */
const PROC_ALLOWED =
  "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    .split(" ")
    .map((name) => `/proc/${name}`);

export function mountAll(birth: Birth): void {
  for (const plan of birth.plan.mounts) {
    try {
      mountOne(birth, plan);
    } catch (thrown) {
      throw new Failure(
        "failed_precondition",
        `error mounting ${quote(plan.source)} to rootfs at ${quote(plan.destination)}: ${reasonOf(plan, thrown)}`,
        { cause: thrown },
      );
    }
  }
}

function reasonOf(plan: MountPlan, thrown: unknown): string {
  if (!(thrown instanceof SyscallFailure)) return messageOf(thrown);
  const detail = thrown.call === "open" || thrown.call === "stat" || /\(/.test(thrown.message);
  return detail ? thrown.message : `mount ${plan.source}:${plan.destination}: ${errnoSentence(thrown.errno)}`;
}

function mountOne(birth: Birth, plan: MountPlan): void {
  const destination = inRoot(cleanPath(plan.destination), birth.plan.rootfs);
  if (plan.remount) {
    using target = ensureTarget(birth.root.number, destination, "directory");
    applyAttributes(target.number, plan);
    return;
  }
  if (plan.type === "cgroup" && !plan.bind) {
    mountCgroups(birth, plan);
    return;
  }
  const fromKernel = plan.type === "proc" || plan.type === "sysfs" || plan.type === "mqueue";
  using source = plan.bind ? openSource(birth, plan) : null;
  const kind = source !== null && !isDirectory(source.number) ? "file" : "directory";
  if (plan.type === "tmpfs" && !plan.bind) takeMode(birth, plan, destination);
  using target = ensureTarget(birth.root.number, destination, kind, fromKernel && !plan.bind);
  if (destination === "/proc") requireProc(birth, plan, source);
  else refuseInProc(destination, target);
  if (source !== null) bindMount(birth, { source: source.number, target: target.number }, plan);
  else newFilesystem(birth, plan, { target: target.number, destination });
}

/** What stands at /proc and is none would take every write meant for the kernel's files. */
function requireProc({ plan: { rootfs } }: Birth, plan: MountPlan, source: fs.Fd | null): void {
  const real = source === null ? plan.type === "proc" : m.filesystemType(source.number) === m.PROC_SUPER_MAGIC;
  if (real) return;
  const shown = quote(`${rootfs}/proc`);
  throw new Failure("invalid_argument", `${shown} cannot be mounted because it is not of type proc`);
}

/** By name and by where a link has led. */
function refuseInProc(destination: string, target: fs.Fd): void {
  if (PROC_ALLOWED.includes(destination)) return;
  if (!destination.startsWith("/proc/") && m.filesystemType(target.number) !== m.PROC_SUPER_MAGIC) return;
  throw new Failure("invalid_argument", `${quote(destination)} cannot be mounted because it is inside /proc`);
}

/** A tmpfs looks like the directory that it covers, unless a mode is named. */
function takeMode(birth: Birth, plan: MountPlan, destination: string): void {
  if (plan.options.some((option) => option.startsWith("mode="))) return;
  using covered = findTarget(birth.root.number, destination);
  if (covered === null) return;
  plan.options.unshift(`mode=${(fs.statFd(covered.number).mode & 0o7777).toString(8).padStart(4, "0")}`);
}

/** A destination may also be written as the host sees it. */
function inRoot(destination: string, rootfs: string): string {
  return destination.startsWith(`${rootfs}/`) ? destination.slice(rootfs.length) : destination;
}

export function sourceOf({ bundle }: Plan, { source }: MountPlan): string {
  return source.startsWith("/") ? source : `${bundle}/${source}`;
}

/** The host's path, opened in this (slave) copy of the host's mounts so that later host mounts still arrive. */
function openSource(birth: Birth, plan: MountPlan): fs.Fd {
  const path = sourceOf(birth.plan, plan);
  if (needsParent(birth) && plan.idmap !== null) return askForSource(birth, plan);
  const opened = door().syscall(nr.SYS_openat, fs.AT_FDCWD, path, fs.O_PATH | fs.O_CLOEXEC, 0);
  if (opened === -EACCES && needsParent(birth)) return askForSource(birth, plan);
  if (opened === -ENOENT) throw new SyscallFailure("stat", ENOENT, path);
  return new fs.Fd(must("open", path, opened));
}

/** Root of a user namespace is not root to the host's files, but its parent may be. */
function needsParent({ plan }: Birth): boolean {
  return plan.namespaces.has("user") && !plan.rootless.user;
}

function askForSource(birth: Birth, plan: MountPlan): fs.Fd {
  birth.tell({ kind: "source", mount: birth.plan.mounts.indexOf(plan) });
  const answer = receiveDescriptor(birth.dialogue);
  if (answer === null) throw new Failure("aborted", "the creating process is gone");
  if (answer.descriptor === null) throw new Failure("failed_precondition", answer.text);
  return answer.descriptor;
}

function isDirectory(fd: number): boolean {
  return (fs.statFd(fd).mode & fs.S_IFMT) === fs.S_IFDIR;
}

function bindMount(birth: Birth, at: { source: number; target: number }, plan: MountPlan): void {
  if (plan.idmap !== null && needsParent(birth)) {
    // The parent has mapped it: a tree of its own already.
    m.attach(at.source, at.target);
    applyAttributes(at.source, plan);
    return;
  }
  using tree = m.cloneTree(at.source, "", plan.recursive);
  if (plan.idmap !== null) {
    using namespace = idmapNamespace(birth.proc(), plan.idmap);
    const { recursive } = plan.idmap;
    m.changeMount(tree.number, { set: m.MOUNT_ATTR_IDMAP, userNamespace: namespace.number, recursive });
  }
  m.attach(tree.number, at.target);
  applyAttributes(tree.number, plan);
}

function newFilesystem(birth: Birth, plan: MountPlan, at: { target: number; destination: string }): void {
  // /dev and tmpfs that are to be read-only are filled first; root.ts sets the flag at the end.
  const late = (plan.set & m.MOUNT_ATTR_RDONLY) !== 0 && (at.destination === "/dev" || plan.type === "tmpfs");
  const attributes = late ? plan.set & ~m.MOUNT_ATTR_RDONLY : plan.set;
  const options = late ? plan.options.filter((option) => option !== "ro") : plan.options;
  if (options.some((option) => option.length > m.FSCONFIG_VALUE_LIMIT)) {
    mountByPath({ ...plan, set: attributes, options }, at.target);
    return;
  }
  using mounted = makeFilesystem({ ...plan, set: attributes, options });
  if (plan.copyUp) copyUp(at.target, mounted.number);
  m.attach(mounted.number, at.target);
  for (const { flag, recursive } of plan.propagation) m.changeMount(mounted.number, { propagation: flag, recursive });
  if (late) birth.readOnlyLater.push(new fs.Fd(mounted.release()));
  else if (plan.type === "devpts" && birth.devpts === null) birth.devpts = new fs.Fd(mounted.release());
}

const OLD_FLAGS: readonly (readonly [attribute: number, flag: number])[] = [
  [m.MOUNT_ATTR_RDONLY, m.MS_RDONLY],
  [m.MOUNT_ATTR_NOSUID, m.MS_NOSUID],
  [m.MOUNT_ATTR_NODEV, m.MS_NODEV],
  [m.MOUNT_ATTR_NOEXEC, m.MS_NOEXEC],
  [m.MOUNT_ATTR_NOATIME, m.MS_NOATIME],
  [m.MOUNT_ATTR_NODIRATIME, m.MS_NODIRATIME],
];

/** fsconfig takes no option beyond 255 bytes (an overlay of many layers has one); mount(2) takes a page of them. The
 *  target is named by its descriptor, through the host's /proc that is still there. */
function mountByPath(plan: MountPlan, target: number): void {
  const flags = OLD_FLAGS.reduce((sum, [attribute, flag]) => sum + (plan.set & attribute ? flag : 0), 0);
  const data = plan.options.filter((option) => option !== "ro").join(",");
  m.mount({ source: plan.source, target: `/proc/self/fd/${target}`, type: plan.type, flags, data });
}

function makeFilesystem(plan: MountPlan): fs.Fd {
  try {
    return m.newMount(plan.type, plan.source, plan.options, plan.set);
  } catch (thrown) {
    // Inside a user namespace without a network namespace of its own sysfs is refused; the host's is bound, as runc
    // does.
    if (plan.type !== "sysfs" || errnoOf(thrown) !== EPERM) throw thrown;
    const tree = m.cloneTree(fs.AT_FDCWD, "/sys", true);
    m.changeMount(tree.number, { set: plan.set, recursive: true });
    return tree;
  }
}
