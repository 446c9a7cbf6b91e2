// Stages around the root filesystem: made the child's own mount first, entered by pivot_root after everything is
// mounted in it, and closed (read-only) at the end. Only descriptors are used once the root is known.

import { door } from "../../linux/door.ts";
import { EINVAL, ENOENT, EPERM, errnoOf, must, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import { openRootfs } from "../spec/check.ts";
import { propagationOf } from "../spec/mounts.ts";
import type { Birth } from "./birth.ts";

/** Cuts this namespace's mounts off from the host's and puts the root in as a mount of its own (pivot_root wants
 *  one). */
export function openRoot(birth: Birth): void {
  const { rootfs, linux } = birth.plan;
  if (!birth.plan.namespaces.has("mount")) {
    birth.root = openRootfs(rootfs);
    return;
  }
  const wanted = linux.rootfsPropagation === "" ? null : propagationOf(linux.rootfsPropagation);
  // Slave: the host's later mounts still arrive below binds, ours never go back. What config.json names replaces it.
  const flag = wanted === null ? m.MS_SLAVE | m.MS_REC : wanted.flag | (wanted.recursive ? m.MS_REC : 0);
  m.mount({ target: "/", flags: flag });
  if (wanted?.flag === m.MS_SHARED) makeParentPrivate(rootfs);
  using place = openRootfs(rootfs);
  const tree = m.cloneTree(place.number, "", true);
  m.attach(tree.number, place.number);
  birth.root = tree;
}

/** pivot_root refuses a root whose parent mount is shared. The parent is the mount with the longest matching path. */
function makeParentPrivate(rootfs: string): void {
  let best = "/";
  for (const line of fs.readText("/proc/self/mountinfo").split("\n")) {
    const point = unescapePath(line.split(" ")[4] ?? "");
    if ((rootfs === point || rootfs.startsWith(`${point}/`)) && point.length > best.length) best = point;
  }
  m.mount({ target: best, flags: m.MS_PRIVATE });
}

/** After this, / is the container's root and nothing of the host's tree can be reached. */
export function enterRoot(birth: Birth): void {
  const { plan, root } = birth;
  if (!plan.namespaces.has("mount")) {
    must("fchdir", plan.rootfs, door().syscall(nr.SYS_fchdir, root.number));
    must("chroot", plan.rootfs, door().syscall(nr.SYS_chroot, "."));
    return;
  }
  if (plan.noPivot) {
    moveRoot(birth);
    return;
  }
  using old = fs.open("/", fs.O_PATH | fs.O_DIRECTORY);
  must("fchdir", plan.rootfs, door().syscall(nr.SYS_fchdir, root.number));
  pivot(plan.rootfs);
  // Both roots are now stacked at /, the old one on top. It must not send its unmounting to the host, so it is made a
  // slave first (private would do as well, but breaks a rootfs that is itself shared below it).
  must("fchdir", "/", door().syscall(nr.SYS_fchdir, old.number));
  m.mount({ target: ".", flags: m.MS_SLAVE | m.MS_REC });
  m.unmount(".", m.MNT_DETACH);
  fs.changeDirectory("/");
}

function pivot(rootfs: string): void {
  try {
    m.pivotHere();
  } catch (thrown) {
    if (!(thrown instanceof SyscallFailure) || thrown.errno !== EINVAL) throw thrown;
    throw new SyscallFailure("pivot_root", EINVAL, `${rootfs} (on an initial ramdisk --no-pivot is needed)`);
  }
}

/** --no-pivot: the root is moved over / and entered by chroot; the old root stays mounted below, as runc warns. */
function moveRoot({ plan, root }: Birth): void {
  hideKernelFilesystems(plan.rootfs);
  must("fchdir", plan.rootfs, door().syscall(nr.SYS_fchdir, root.number));
  const MS_MOVE = 8192;
  m.mount({ source: plan.rootfs, target: "/", flags: MS_MOVE });
  must("chroot", ".", door().syscall(nr.SYS_chroot, "."));
  fs.changeDirectory("/");
}

/** The old root can still be reached, and a procfs or sysfs in it without masks would let the container mount one of
 *  its own without them: the kernel asks only whether a whole one is there. */
function hideKernelFilesystems(rootfs: string): void {
  for (const line of fs.readText("/proc/self/mountinfo").trimEnd().split("\n")) {
    const [, , , root, point] = line.split(" ");
    const type = line.split(" - ")[1]!.split(" ")[0]!;
    if (root !== "/" || (type !== "proc" && type !== "sysfs")) continue;
    const target = unescapePath(point!);
    if (target.startsWith(`${rootfs}/`)) continue;
    try {
      m.mount({ target, flags: m.MS_SLAVE | m.MS_REC });
      m.unmount(target, m.MNT_DETACH);
    } catch (thrown) {
      // Gone with the one it stood on; or locked in a user namespace, and then it can only be covered.
      if (errnoOf(thrown) === ENOENT) continue;
      if (errnoOf(thrown) !== EINVAL && errnoOf(thrown) !== EPERM) throw thrown;
      m.mount({ source: "tmpfs", target, type: "tmpfs", flags: 0 });
    }
  }
}

/** mountinfo writes spaces and the like as octal numbers. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** The last changes to mounts: what had to stay writable while it was filled. */
export function closeRoot(birth: Birth): void {
  for (const mount of birth.readOnlyLater) {
    m.changeMount(mount.number, { set: m.MOUNT_ATTR_RDONLY });
    mount.close();
  }
  // Only now: what was mounted and unmounted above would have reached the host's mounts, if those are shared.
  const wanted = propagationOf(birth.plan.linux.rootfsPropagation);
  if (wanted !== null && wanted.flag !== m.MS_PRIVATE) {
    m.changeMount(birth.root.number, { propagation: wanted.flag, recursive: wanted.recursive });
  }
  if (birth.plan.spec.root?.readonly === true) m.changeMount(birth.root.number, { set: m.MOUNT_ATTR_RDONLY });
}
