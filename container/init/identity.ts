// Stage: who the program will be. Bounding set, groups, ids, working directory, capabilities; in the one order in
// which each step still has the right to do the next.

import { Failure } from "../../base/errors.ts";
import * as caps from "../../linux/capability.ts";
import { CAPABILITY_NAMES } from "../../linux/capability-names.ts";
import * as who from "../../linux/credential.ts";
import { EACCES, EPERM, errnoOf, errnoSentence } from "../../linux/errno.ts";
import { changeDirectory, workingDirectory } from "../../linux/fd.ts";
import type { CapabilityPlan, ProcessPlan } from "../plan.ts";

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
  setGroups(additionalGids);
  who.setGroup(gid);
  who.setUser(uid);
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
    if (errnoOf(thrown) !== EPERM || groups.length > 0) throw thrown;
  }
}
