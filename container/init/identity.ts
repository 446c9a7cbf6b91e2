// Stage: who the program will be. Bounding set, groups, ids, working directory, capabilities; in the one order in
// which each step still has the right to do the next.

import { Failure } from "../../base/errors.ts";
import * as caps from "../../linux/capability.ts";
import { CAPABILITY_NAMES } from "../../linux/capability-names.ts";
import * as who from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { EACCES, EINVAL, EPERM, EROFS, errnoOf, errnoSentence, must } from "../../linux/errno.ts";
import { changeDirectory, readTextIfThere, S_IFIFO, S_IFMT, statFd, workingDirectory } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import { setDumpable } from "../../linux/process.ts";
import type { CapabilityPlan, ProcessPlan } from "../plan.ts";

/** (gid_t) -1: no change. */
const NOBODY_ELSE = 0xffffffff;
const SYS_ADMIN = 1n << BigInt(caps.CAP_SYS_ADMIN);

/** The sets the program will have, and whether CAP_SYS_ADMIN is still held beyond them to load the filter. */
export interface Identity {
  final: CapabilityPlan;
  holdsAdmin: boolean;
}

export function becomeUser(process: ProcessPlan, warn: (message: string) => void): Identity {
  const final = available(process.capabilities, warn);
  const { uid, gid, additionalGids } = process.spec.user;
  caps.limitBoundingSet(final.bounding);
  who.keepCapabilities(true);
  const entered = enterDirectory(process.spec.cwd);
  ownPipes(uid);
  if (!process.keepsGroups) setGroups(additionalGids);
  unmapped(`cannot setgid to unmapped gid ${gid} in user namespace`, () => who.setGroup(gid));
  unmapped(`cannot setuid to unmapped uid ${uid} in user namespace`, () => who.setUser(uid));
  // Other ids bring back the system's setting (fs.suid_dumpable), and the container's processes may be looking.
  setDumpable(false);
  if (!entered && !enterDirectory(process.spec.cwd)) throw chdirFailure(process.spec.cwd, errnoSentence(EACCES));
  // The kernel shows a directory outside of the root this way; a descriptor leaked by the runtime could lead there.
  if (!workingDirectory().startsWith("/")) {
    throw new Failure(
      "permission_denied",
      "current working directory is outside of container mount namespace root -- possible container breakout detected",
    );
  }
  // Without no_new_privs a filter needs CAP_SYS_ADMIN, and it is loaded last: until then it is held.
  const holdsAdmin = process.filter !== null && !process.spec.noNewPrivileges;
  const extra = holdsAdmin ? SYS_ADMIN : 0n;
  const { effective, permitted, inheritable } = final;
  caps.setCapabilities({ effective: effective | extra, permitted: permitted | extra, inheritable });
  who.keepCapabilities(false);
  caps.clearAmbient();
  // One that is not inheritable cannot be raised, and runc only warns then.
  for (const { number, errno } of caps.raiseAmbient(final.ambient)) {
    warn(`can't raise ambient capability ${CAPABILITY_NAMES[number]}: ${errnoSentence(errno)}`);
  }
  return { final, holdsAdmin };
}

/** Gives the held CAP_SYS_ADMIN back; the last change before execve. */
export function dropHeld({ final }: Identity): void {
  caps.setCapabilities(final);
}

/** What this process itself does not have cannot be given. runc refuses then; here the rest is granted, and the log
 *  says what is missing. */
function available(wanted: CapabilityPlan, warn: (message: string) => void): CapabilityPlan {
  const held = caps.permittedSet();
  const all = wanted.bounding | wanted.effective | wanted.permitted | wanted.inheritable | wanted.ambient;
  const missing = all & ~held;
  if (missing === 0n) return wanted;
  const names = CAPABILITY_NAMES.filter((_name, number) => (missing >> BigInt(number)) & 1n);
  warn(`the runtime itself does not have these capabilities, so the container goes without: [${names.join(" ")}]`);
  return {
    bounding: wanted.bounding & held,
    effective: wanted.effective & held,
    permitted: wanted.permitted & held,
    inheritable: wanted.inheritable & held,
    ambient: wanted.ambient & held,
  };
}

/** False when the permission is missing: root may lack what the user has (a network filesystem), so it is tried
 *  twice. */
function enterDirectory(path: string): boolean {
  try {
    changeDirectory(path);
    return true;
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === EACCES || errno === EPERM) return false;
    throw chdirFailure(path, errnoSentence(errno));
  }
}

function chdirFailure(path: string, reason: string): Failure {
  return new Failure(
    "failed_precondition",
    `chdir to cwd (${JSON.stringify(path)}) set in config.json failed: ${reason}`,
  );
}

function setGroups(groups: readonly number[]): void {
  try {
    who.setGroups(groups);
  } catch (thrown) {
    // A user namespace whose maker could not allow setgroups; then there is nothing to drop either.
    if (errnoOf(thrown) !== EPERM) throw thrown;
    if (groups.length > 0 && readTextIfThere("/proc/self/setgroups")?.trim() !== "deny") throw thrown;
  }
}

/** The kernel knows no id that the user namespace does not map. */
function unmapped(sentence: string, change: () => void): void {
  try {
    change();
  } catch (thrown) {
    if (errnoOf(thrown) !== EINVAL) throw thrown;
    throw new Failure("invalid_argument", sentence, { cause: thrown });
  }
}

/** The program may open its standard files again by name (/dev/stdout), so its user must own the pipes among them; a
 *  file or a terminal of the caller's stays the caller's. So does what belongs to nobody here (an id not mapped). */
function ownPipes(uid: number): void {
  for (const fd of [0, 1, 2]) {
    const { mode, uid: owner } = statFd(fd);
    if (owner === uid || (mode & S_IFMT) !== S_IFIFO) continue;
    const result = door().syscall(nr.SYS_fchown, fd, uid, NOBODY_ELSE);
    if (![0, -EPERM, -EROFS, -EINVAL].includes(result)) must("fchown", `fd ${fd}`, result);
  }
}
