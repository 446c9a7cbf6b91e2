// What a mount's option words ask of a mount that is there already, as mount(2)'s remount of a bind understands them:
// the plain flags become exactly those that are named, the access time stays as it is unless a word sets it.
//
// Inside a user namespace the flags that the host set are locked. Those that no word speaks of then stay; a word that
// would take one away is an error.

import { EPERM, must } from "../../linux/errno.ts";
import * as m from "../../linux/mount.ts";
import type { MountPlan } from "../spec/mounts.ts";

/** The four have the same values as flags of statfs and as attributes of mount_setattr. */
const LOCKABLE = m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID | m.MOUNT_ATTR_NODEV | m.MOUNT_ATTR_NOEXEC;
const PLAIN = LOCKABLE | m.MOUNT_ATTR_NOSYMFOLLOW;
/** The access time mode is one field: to set it, all its bits must be cleared in the same call. */
const ATIME = m.MOUNT_ATTR_ATIME | m.MOUNT_ATTR_NODIRATIME;

export function applyAttributes(mount: number, plan: MountPlan): void {
  if (plan.changes) {
    const atime = plan.setsAtime ? ATIME & ~(plan.set & m.MOUNT_ATTR_NODIRATIME) : 0;
    const result = m.tryChangeMount(mount, { set: plan.set, clear: (PLAIN & ~plan.set) | atime });
    if (result === -EPERM) keepLocked(mount, plan, atime);
    else must("mount_setattr", "", result);
  }
  if (plan.treeSet !== 0 || plan.treeClear !== 0) {
    const clear = plan.treeClear | (plan.treeSet & m.MOUNT_ATTR_ATIME ? m.MOUNT_ATTR_ATIME : 0);
    m.changeMount(mount, { set: plan.treeSet, clear, recursive: true });
  }
  for (const { flag, recursive } of plan.propagation) m.changeMount(mount, { propagation: flag, recursive });
}

function keepLocked(mount: number, plan: MountPlan, atime: number): void {
  const locked = m.flagsOfMount(mount) & LOCKABLE & ~plan.set;
  if ((locked & plan.clear) !== 0) must("mount_setattr", "", -EPERM);
  m.changeMount(mount, { set: plan.set, clear: (PLAIN & ~plan.set & ~locked) | atime });
}
