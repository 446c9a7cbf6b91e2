// Makes a container up to the point where its program could run: record, cgroups, the first process. What fails on the
// way is undone here; what a SIGKILL leaves is found by the `made` link and cleaned by delete --force.
//
//     claim, lock ─▶ made link ─▶ clone ─▶ cgroups, limits, state.json (the child mounts meanwhile) ─▶ dialogue ─▶ go

import { Failure, messageOf } from "../base/errors.ts";
import { trySetLimit } from "../linux/credential.ts";
import { door } from "../linux/door.ts";
import { EACCES, EPERM, EPIPE, errnoOf, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { waitChild } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { deliver, openJoins } from "./birth.ts";
import { isFrozen } from "./cgroups/freezer.ts";
import type { Hierarchy } from "./cgroups/hierarchies.ts";
import { setDevices, setLimits } from "./cgroups/limits.ts";
import * as groups from "./cgroups/manager.ts";
import { makePermitted } from "./cgroups/rootless.ts";
import { giveUnit } from "./cgroups/systemd/owner.ts";
import { withRoundedQuota } from "./cgroups/systemd/properties.ts";
import { placeOf, startUnit } from "./cgroups/systemd/scope.ts";
import { failpoint } from "./failpoints.ts";
import { giveFilter } from "./filters.ts";
import { runEarlyHooks } from "./hooks.ts";
import { Birth } from "./init/birth.ts";
import { limitFailure } from "./init/execute.ts";
import { beginContainer } from "./init/main.ts";
import { sourceOf } from "./init/mounts.ts";
import { setOomScore } from "./init/oom.ts";
import { recordOf } from "./kept.ts";
import { claim, type Keeper, writeMade } from "./layout.ts";
import { hostIdOf, mapIds } from "./mappings.ts";
import { type ChildMessage, hear, openDialogue, say } from "./messages.ts";
import { NetDevices } from "./netdevices.ts";
import { handOverListener } from "./notify.ts";
import type { Plan } from "./plan.ts";
import { makeReadinessDirectory } from "./readiness.ts";
import { endUnit, removeDirectoryOf } from "./remove.ts";
import { enterResctrl, type KeptResctrl, leaveResctrl } from "./resctrl.ts";
import { giveSource } from "./sources.ts";
import { type ContainerRecord, writeRecord } from "./state.ts";

const APPLY = "unable to apply cgroup configuration: ";

export interface CreateOptions {
  plan: Plan;
  /** With it the program waits for `start`; without it the caller says go (Created.release). */
  fifo: boolean;
  /** Where the terminal's master goes; null without a terminal. */
  console: number | null;
  warn(message: string): void;
  /** Null when nobody reads it. */
  debug: ((message: string) => void) | null;
}

export interface Created {
  pid: number;
  record: ContainerRecord;
  /** Lets the child go on: to exec.fifo, or to its program. */
  release(): void;
  /** After release without fifo: null once the program runs, else why it does not. Closes the dialogue. */
  outcome(): string | null;
}

export function createContainer(options: CreateOptions): Created {
  const { plan } = options;
  failpoint("create.planned");
  using lock = claim(plan.paths);
  failpoint("create.claimed");
  using devices = new NetDevices();
  const made: Made = { pid: 0, cgroups: { paths: {}, unified: false }, devices, resctrl: null, lock };
  try {
    const { unit } = plan;
    const placed = unit === null ? groups.placeCgroups(plan.linux.cgroupsPath, plan.id) : placeOf(unit);
    groups.refuseOccupied(placed.cgroups.paths);
    // Its first process would stop before it could say a word.
    if (isFrozen(placed.cgroups.paths)) {
      throw new Failure("failed_precondition", "container's cgroup unexpectedly frozen");
    }
    writeMade(plan.paths, { cgroups: placed.cgroups.paths, keeper: keeperOf(plan) });
    failpoint("create.noted");
    if (plan.readiness) makeReadinessDirectory(plan.paths);
    if (plan.filter !== null) giveFilter(plan.filter, plan.paths.filter);
    const begin = unit === null ? beginInCgroups : beginInUnit;
    return converse(options, begin(options, placed, made), made);
  } catch (thrown) {
    undo(plan, made);
    devices.giveBack();
    if (made.resctrl !== null) leaveResctrl(made.resctrl);
    throw thrown;
  }
}

/** What there is to be undone. */
interface Made {
  pid: number;
  cgroups: groups.Cgroups;
  /** What only some containers have. */
  devices: NetDevices;
  resctrl: KeptResctrl | null;
  /** Of the container's directory; the child closes its copy. */
  lock: fs.Fd;
}

type Placed = ReturnType<typeof groups.placeCgroups>;

function keeperOf({ unit }: Plan): Keeper {
  return unit === null ? "files" : unit.user ? "user" : "machine";
}

function beginInCgroups(options: CreateOptions, placed: Placed, made: Made): Started {
  const { plan } = options;
  const cgroups = plan.rootless.cgroups ? makePermitted(placed, plan.linux) : placed.cgroups;
  made.cgroups = cgroups;
  const make = (wanted: (hierarchy: Hierarchy) => boolean) => {
    prefixed(APPLY, () => groups.makeCgroups(cgroups, placed.hierarchies.filter(wanted)));
    setDevices(cgroups, plan.linux.resources);
  };
  const late = joinsLate(plan, cgroups);
  if (plan.rootless.cgroups) settleForLess(options, cgroups);
  else if (late) prefixed(APPLY, () => groups.makeCgroups(cgroups, placed.hierarchies.filter(isUnified)));
  else make(() => true);
  const started = startChild(options, {
    cgroups,
    tasks: late ? null : groups.openTasks(cgroups),
    birthplace: groups.openBirthplace(cgroups),
    lock: made.lock,
  });
  made.pid = started.pid;
  failpoint("create.cloned");
  if (late) {
    make((hierarchy) => !isUnified(hierarchy));
    failpoint("create.cgroups");
    tellOfCgroups(started.dialogue);
  }
  return started;
}

/** systemd moves the child, which waits to hear of that before it does anything with cgroups. */
function beginInUnit(options: CreateOptions, placed: Placed, made: Made): Started {
  const { plan } = options;
  const { resources } = plan.linux;
  const { cgroups } = placed;
  const others = placed.hierarchies.filter(({ name }) => name !== "" && name !== "name=systemd");
  groups.makeCgroups(cgroups, others);
  const paths = Object.fromEntries(others.map(({ name }) => [name, cgroups.paths[name.split(",")[0]!]!]));
  const tasks = plan.namespaces.get("user") === "" ? groups.openTasks({ paths, unified: false }) : null;
  const started = startChild(options, { cgroups, tasks, birthplace: null, lock: made.lock });
  made.pid = started.pid;
  prefixed(APPLY, () => startUnit(plan.unit!, { pid: started.pid, resources, unified: cgroups.unified }));
  made.cgroups = cgroups;
  giveUnit(plan, cgroups.paths);
  if (plan.rootless.cgroups) settleForLess(options, cgroups);
  else setDevices(cgroups, resources);
  tellOfCgroups(started.dialogue);
  return started;
}

/** Rules for devices are not expected to work without rights, and then the user namespace stands in for them. */
function settleForLess({ plan, warn }: CreateOptions, cgroups: groups.Cgroups): void {
  try {
    setDevices(cgroups, plan.linux.resources);
  } catch (thrown) {
    if (![EACCES, EPERM].includes(errnoOf(thrown))) throw thrown;
  }
  if (Object.keys(cgroups.paths).length === 0 && plan.namespaces.get("pid") !== "") {
    warn(
      "Creating a rootless container with no cgroup and no private pid namespace. Such configuration is strongly " +
        "discouraged (as it is impossible to properly kill all container's processes)",
    );
  }
}

function isUnified({ name }: Hierarchy): boolean {
  return name === "";
}

/** Cgroup v1 directories can be made while the child mounts. Not when it could not open them (a user namespace), or
 *  when a helper or a joined namespace comes between. */
function joinsLate({ namespaces, rootless }: Plan, cgroups: groups.Cgroups): boolean {
  const joins = [...namespaces].some(([kind, path]) => path !== "" && kind !== "network");
  return !cgroups.unified && !namespaces.has("user") && !joins && !rootless.cgroups;
}

/** A child that is gone already has said why; that is heard next. */
function tellOfCgroups(dialogue: fs.Fd): void {
  try {
    say(dialogue.number, { kind: "go" });
  } catch (thrown) {
    if (errnoOf(thrown) !== EPIPE) throw thrown;
  }
}

interface Started {
  pid: number;
  dialogue: fs.Fd;
}

/** How the child comes into its cgroups. */
interface Entry {
  cgroups: groups.Cgroups;
  /** Null: it opens them itself, when it hears that they are there. */
  tasks: fs.Fd[] | null;
  birthplace: fs.Fd | null;
  lock: fs.Fd;
}

function startChild({ plan, fifo, console, debug }: CreateOptions, { cgroups, tasks, ...entry }: Entry): Started {
  const dialogue = openDialogue();
  using child = dialogue.child;
  const joins = openJoins(plan);
  using birthplace = entry.birthplace;
  using waiting = fifo ? makeFifo(plan) : null;
  try {
    const pid = deliver({
      plan,
      joins,
      cgroup: birthplace?.number ?? null,
      dialogue: { parent: dialogue.parent, child },
      begin(helped) {
        // Nothing of the host's tree stays open in the child.
        dialogue.parent.close();
        birthplace?.close();
        entry.lock.close();
        const parts = {
          ...{ plan, tasks, console, helped, cgroupPaths: cgroups.paths },
          ...{ dialogue: child.number, wantsDebug: debug !== null },
        };
        beginContainer(new Birth({ ...parts, joins: helped ? new Map() : joins, fifo: waiting?.number ?? null }));
      },
    });
    return { pid, dialogue: dialogue.parent };
  } catch (thrown) {
    // A child that nobody knows of ends with the dialogue.
    dialogue.parent.close();
    throw thrown;
  } finally {
    for (const descriptor of [...(tasks ?? []), ...joins.values()]) descriptor.close();
  }
}

function makeFifo({ paths, namespaces, mappings, rootless }: Plan): fs.Fd {
  const before = door().syscall(nr.SYS_umask, 0);
  fs.makeFifo(paths.fifo, 0o622);
  door().syscall(nr.SYS_umask, before);
  if (namespaces.has("user")) {
    const [uid, gid] = [mappings.uidMappings, mappings.gidMappings].map((maps) => hostIdOf(maps, 0)!);
    // A user without rights cannot give it away; the mapped root is then among the others who may write to it.
    const given = door().syscall(nr.SYS_chown, paths.fifo, uid!, gid!);
    if (given !== -EPERM || !rootless.user) must("chown", paths.fifo, given);
  }
  return fs.open(paths.fifo, fs.O_PATH);
}

function converse(options: CreateOptions, started: Started, made: Made): Created {
  const { plan } = options;
  const { pid, dialogue } = started;
  const { cgroups } = made;
  let record: ContainerRecord | null = null;
  const settle = () => {
    if (record !== null) return;
    const prefix = "error during container init: error setting cgroup config for procHooks process: ";
    const { resources } = plan.linux;
    const limits = plan.unit === null || resources === null ? resources : withRoundedQuota(resources);
    prefixed(prefix, () => setLimits(cgroups, limits));
    if (!plan.rootless.user) setOomScore(plan.process, pid);
    if (plan.resctrl !== null) made.resctrl = enterResctrl(plan.resctrl, pid);
    record = recordOf(plan, made);
    writeRecord(plan.paths, record);
    failpoint("create.recorded");
  };
  // With a new user namespace the child waits for its mappings first; else it is busy mounting while this goes on.
  if (plan.namespaces.get("user") !== "") settle();
  for (;;) {
    const message = hear<ChildMessage>(dialogue.number);
    if (message === null) throw new Failure("failed_precondition", deathOf(plan, pid));
    if (message.kind === "failed") throw new Failure("failed_precondition", startFailure(message));
    if (message.kind === "warning") options.warn(message.message);
    if (message.kind === "debug") options.debug?.(message.message);
    if (message.kind === "map") {
      mapIds(pid, plan.mappings, plan.rootless.user ? plan.rootless.searchPath : null);
      say(dialogue.number, { kind: "go" });
      settle();
    }
    if (message.kind === "source") answerSource(plan, { pid, dialogue: dialogue.number }, message.mount);
    if (message.kind === "hooks") {
      settle();
      const { hooks } = plan.spec;
      made.devices.move(plan, pid);
      prefixed("error during container init: ", () => runEarlyHooks(hooks, stateFor(plan, pid, "creating")));
      say(dialogue.number, { kind: "go" });
    }
    if (message.kind === "ready") break;
  }
  settle();
  failpoint("create.ready");
  for (const limit of plan.process.limitsByParent ? plan.process.limits : []) {
    const result = trySetLimit(pid, limit);
    if (result < 0) throw limitFailure(limit.resource, result);
  }
  if (plan.filter?.listener) {
    const state = stateFor(plan, pid, "creating");
    handOverListener({ dialogue: dialogue.number, pid, listener: plan.filter.listener, state });
  }
  return {
    pid,
    record: record!,
    release: () => release(options, started),
    outcome: () => outcomeOf(dialogue),
  };
}

/** Whoever killed it meanwhile is no fault of the dialogue. A user without rights can join it only once it is no longer
 *  hidden, which is when it has closed its end: so that `exec` can follow at once. */
function release({ plan, fifo }: CreateOptions, { pid, dialogue }: Started): void {
  try {
    say(dialogue.number, { kind: "go" });
  } catch (thrown) {
    if (errnoOf(thrown) !== EPIPE) throw thrown;
    throw new Failure("failed_precondition", deathOf(plan, pid), { cause: thrown });
  }
  if (!fifo || !plan.rootless.user) return;
  const failed = outcomeOf(dialogue);
  if (failed !== null) throw new Failure("failed_precondition", failed);
}

function answerSource(plan: Plan, target: { pid: number; dialogue: number }, index: number): void {
  const mount = plan.mounts[index]!;
  giveSource(target, mount, sourceOf(plan, mount));
}

function prefixed(prefix: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    throw new Failure("failed_precondition", `${prefix}${messageOf(thrown)}`, { cause: thrown });
  }
}

function startFailure(message: { message: string; early: boolean }): string {
  return message.early ? `error during container init: ${message.message}` : message.message;
}

function deathOf(plan: Plan, pid: number): string {
  const ended = waitChild(pid);
  if (ended?.signal === SIGKILL && (plan.linux.resources?.memory?.limit ?? 0n) > 0n) {
    return "container init was OOM-killed (memory limit too low?)";
  }
  const how =
    ended === null
      ? "is gone"
      : ended.signal === null
        ? `ended with ${ended.code}`
        : `was killed by signal ${ended.signal}`;
  return `error during container init: the container's first process ${how} before its program began`;
}

function outcomeOf(dialogue: fs.Fd): string | null {
  using open = dialogue;
  const message = hear<ChildMessage>(open.number);
  return message?.kind === "failed" ? message.message : null;
}

export function stateFor(plan: Plan, pid: number, status: string) {
  return { id: plan.id, pid, status, bundle: plan.bundle, annotations: plan.spec.annotations };
}

function undo(plan: Plan, made: Made): void {
  if (made.pid > 0) {
    kill(made.pid, SIGKILL);
    waitChild(made.pid);
  }
  groups.killAll(made.cgroups.paths);
  const begun = Object.keys(made.cgroups.paths).length > 0;
  if (plan.unit !== null && begun) endUnit({ paths: made.cgroups.paths, user: plan.unit.user }, () => {});
  groups.removeCgroups(made.cgroups.paths);
  removeDirectoryOf(plan.paths);
}
