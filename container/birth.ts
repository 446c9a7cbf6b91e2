// How the first process of a container is brought into the world: one clone3 into all new namespaces, where nothing
// stands against it; through a helper where a namespace must be joined before others can be made.
//
//     usual:    parent ──clone3(new namespaces)──▶ child
//     helper:   parent ──clone3──▶ helper ──setns(joined)──clone3(CLONE_PARENT, new namespaces)──▶ child
//
// The helper is needed when the joined ones are a user or pid namespace, or when a new user namespace goes with any
// joined one (from inside it the right to join is gone); also by a user without rights for clocks of another time,
// which only a process inside the new user namespace may set. It ends at once; CLONE_PARENT makes the child the
// parent's.

import { Failure, messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { ENOENT, EPERM, errnoOf, errnoSentence } from "../linux/errno.ts";
import { type Fd, O_RDONLY, O_WRONLY, open, writeAll } from "../linux/fd.ts";
import { NAMESPACES, type NamespaceKind, setNamespace, unshare } from "../linux/namespace.ts";
import { CLONE_PARENT, clone, exit, waitChild } from "../linux/process.ts";
import { failpoint } from "./failpoints.ts";
import { becomeMappedRoot, nameSelf } from "./init/main.ts";
import { setOomScore } from "./init/oom.ts";
import { awaitGo, type ChildMessage, hear, MSG_DONTWAIT, say, sayAtLast } from "./messages.ts";
import type { Plan } from "./plan.ts";

/** pid last: it changes only later children. The user namespace's turn is joinAll's matter. */
const JOIN_ORDER: readonly NamespaceKind[] = ["user", "ipc", "uts", "network", "mount", "cgroup", "time", "pid"];

/** The namespaces to join, opened while the host's paths are still seen. */
export function openJoins(plan: Plan): Map<NamespaceKind, Fd> {
  const joins = new Map<NamespaceKind, Fd>();
  for (const kind of JOIN_ORDER) {
    const path = plan.namespaces.get(kind) ?? "";
    if (path === "") continue;
    try {
      joins.set(kind, open(path, O_RDONLY));
    } catch (thrown) {
      const reason = errnoOf(thrown) === ENOENT ? `lstat ${path}: ${errnoSentence(ENOENT)}` : messageOf(thrown);
      throw new Failure("invalid_argument", `namespace path: ${reason}`);
    }
  }
  return joins;
}

export interface Delivery {
  plan: Plan;
  joins: Map<NamespaceKind, Fd>;
  /** A cgroup v2 directory to be born in. */
  cgroup: number | null;
  dialogue: { parent: Fd; child: Fd };
  /** What the child does; never returns. `helped`: a helper has joined the namespaces already. */
  begin(helped: boolean): never;
}

/** The child's pid. */
export function deliver(delivery: Delivery): number {
  const { plan, joins } = delivery;
  const userIsNew = plan.namespaces.get("user") === "";
  const inside = setsTimeInside(plan);
  const helper = joins.has("user") || joins.has("pid") || (userIsNew && joins.size > 0) || inside;
  if (!inside) setTimeOffsets(plan);
  const flags = newFlags(plan);
  if (helper) return deliverByHelper(delivery, flags);
  const { pid } = clone({ flags, cgroup: delivery.cgroup, pidfd: false });
  if (pid === 0) delivery.begin(false);
  return pid;
}

/** All but the cgroup namespace, whose root is where its maker stands: the child makes it after joining. And but the
 *  ipc namespace where its owner, root of a new user namespace, is not there yet. */
function newFlags(plan: Plan): bigint {
  let flags = 0n;
  for (const [kind, path] of plan.namespaces) {
    const unowned = kind === "ipc" && plan.namespaces.get("user") === "";
    const late = kind === "cgroup" || unowned || (kind === "time" && hasOffsets(plan));
    if (path === "" && !late) flags |= BigInt(NAMESPACES[kind].flag);
  }
  return flags;
}

function hasOffsets(plan: Plan): boolean {
  return Object.keys(plan.linux.timeOffsets).length > 0;
}

function setsTimeInside(plan: Plan): boolean {
  return plan.rootless.user && plan.namespaces.get("user") === "" && hasOffsets(plan);
}

/** Offsets can be written only while a time namespace has no process, so the parent makes it for its next child. */
function setTimeOffsets(plan: Plan): void {
  if (plan.namespaces.get("time") !== "" || !hasOffsets(plan)) return;
  unshare(NAMESPACES.time.flag);
  using file = open("/proc/self/timens_offsets", O_WRONLY);
  const lines = Object.entries(plan.linux.timeOffsets).map(([clock, at]) => `${clock} ${at.secs} ${at.nanosecs}\n`);
  writeAll(file.number, door().encode(lines.join("")));
}

/** With the rights held here, then with those that a user namespace gives: the others may belong to either. */
function joinAll(joins: Delivery["joins"], keepGroups: boolean): void {
  const join = (kind: NamespaceKind, namespace: Fd) => setNamespace(namespace.number, NAMESPACES[kind].flag, kind);
  const user = joins.get("user");
  const later: [NamespaceKind, Fd][] = [];
  for (const [kind, namespace] of joins) {
    if (kind === "user") continue;
    try {
      join(kind, namespace);
    } catch (thrown) {
      if (user === undefined || errnoOf(thrown) !== EPERM) throw thrown;
      later.push([kind, namespace]);
    }
  }
  if (user === undefined) return;
  join("user", user);
  becomeMappedRoot(keepGroups);
  for (const [kind, namespace] of later) join(kind, namespace);
}

function deliverByHelper({ plan, joins, dialogue, cgroup, begin }: Delivery, flags: bigint): number {
  const inside = setsTimeInside(plan) ? BigInt(NAMESPACES.user.flag) : 0n;
  const helper = clone({ flags: inside, cgroup, pidfd: false });
  if (helper.pid === 0) {
    try {
      // Or neither it nor the child would see the end of the dialogue when the parent ends.
      dialogue.parent.close();
      if (plan.rootless.user) setOomScore(plan.process, "self");
      if (inside !== 0n) setTimeOffsets(plan);
      nameSelf();
      joinAll(joins, plan.rootless.user);
      failpoint("create.helper.joined");
      const { pid } = clone({ flags: (flags & ~inside) | BigInt(CLONE_PARENT), cgroup: null, pidfd: false });
      if (pid === 0) {
        // It may speak only after the parent has heard of it.
        awaitGo(dialogue.child.number);
        begin(true);
      }
      failpoint("create.helper.cloned");
      say(dialogue.child.number, { kind: "born", pid });
      exit(0);
    } catch (thrown) {
      sayAtLast(dialogue.child.number, { kind: "failed", message: messageOf(thrown), early: true });
      exit(1);
    }
  }
  // It waits for nobody, so first its end: what it had to say lies there then, or it was killed and will never say it.
  waitChild(helper.pid);
  const said = hear<ChildMessage>(dialogue.parent.number, MSG_DONTWAIT);
  if (said?.kind === "born") {
    say(dialogue.parent.number, { kind: "go" });
    return said.pid;
  }
  throw new Failure(
    "failed_precondition",
    said?.kind === "failed" ? said.message : "a helper process died unexpectedly",
  );
}
