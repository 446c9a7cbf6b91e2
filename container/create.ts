// Makes a container up to the point where its program could run: record, cgroups, the first process. What fails on the
// way is undone here; what a SIGKILL leaves is found by the `creating` link and cleaned by delete --force.
//
//     claim ─▶ creating link ─▶ clone ─▶ cgroups, limits, state.json (the child mounts meanwhile) ─▶ dialogue ─▶ go

import { Failure, messageOf } from "../base/errors.ts";
import { formatTime, wallNanoseconds } from "../linux/clock.ts";
import { trySetLimit } from "../linux/credential.ts";
import { door } from "../linux/door.ts";
import { EACCES, EPIPE, errnoOf } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { writeMappings } from "../linux/namespace.ts";
import * as nr from "../linux/numbers.ts";
import { waitChild } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { deliver, openJoins } from "./birth.ts";
import type { Hierarchy } from "./cgroups/hierarchies.ts";
import { setDevices, setLimits } from "./cgroups/limits.ts";
import * as groups from "./cgroups/manager.ts";
import { giveFilter } from "./filters.ts";
import { runHooks } from "./hooks.ts";
import { Birth } from "./init/birth.ts";
import { limitFailure } from "./init/execute.ts";
import { toMapping } from "./init/idmap.ts";
import { beginContainer } from "./init/main.ts";
import { claim, writeCreating } from "./layout.ts";
import { type ChildMessage, hear, openDialogue, say } from "./messages.ts";
import { NetDevices } from "./netdevices.ts";
import { handOverListener } from "./notify.ts";
import type { Plan } from "./plan.ts";
import { makeReadinessDirectory } from "./readiness.ts";
import { removeDirectoryOf } from "./remove.ts";
import {
  type ContainerRecord,
  keptMappings,
  namespaceName,
  namespacePaths,
  processLife,
  writeRecord,
} from "./state.ts";

export interface CreateOptions {
  plan: Plan;
  /** With it the program waits for `start`; without it the caller says go (Created.release). */
  fifo: boolean;
  /** Where the terminal's master goes; null without a terminal. */
  console: number | null;
  warn(message: string): void;
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
  claim(plan.paths);
  let cgroups: groups.Cgroups = { paths: {}, unified: false };
  let pid = 0;
  using devices = new NetDevices();
  try {
    const placed = groups.placeCgroups(plan.linux.cgroupsPath, plan.id);
    groups.refuseOccupied(placed.cgroups.paths);
    writeCreating(plan.paths, placed.cgroups.paths);
    cgroups = placed.cgroups;
    if (plan.readiness) makeReadinessDirectory(plan.paths);
    const make = (wanted: (hierarchy: Hierarchy) => boolean) => {
      groups.makeCgroups(cgroups, placed.hierarchies.filter(wanted));
      setDevices(cgroups, plan.linux.resources);
    };
    const late = joinsLate(plan, cgroups);
    if (late) groups.makeCgroups(cgroups, placed.hierarchies.filter(isUnified));
    else make(() => true);
    if (plan.filter !== null) giveFilter(plan.filter, plan.paths.filter);
    const started = startChild(options, cgroups, late);
    pid = started.pid;
    if (late) {
      make((hierarchy) => !isUnified(hierarchy));
      tellOfCgroups(started.dialogue);
    }
    return converse(options, { ...started, cgroups, devices });
  } catch (thrown) {
    undo(plan, { pid, cgroups });
    devices.giveBack();
    throw thrown;
  }
}

function isUnified({ name }: Hierarchy): boolean {
  return name === "";
}

/** Cgroup v1 directories can be made while the child mounts. Not when it could not open them (a user namespace), or
 *  when a helper or a joined namespace comes between. */
function joinsLate({ namespaces }: Plan, cgroups: groups.Cgroups): boolean {
  const joins = [...namespaces].some(([kind, path]) => path !== "" && kind !== "network");
  return !cgroups.unified && !namespaces.has("user") && !joins;
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

function startChild({ plan, fifo, console }: CreateOptions, cgroups: groups.Cgroups, late: boolean): Started {
  const dialogue = openDialogue();
  using child = dialogue.child;
  const joins = openJoins(plan);
  const tasks = late ? null : groups.openTasks(cgroups);
  using birthplace = groups.openBirthplace(cgroups);
  using waiting = fifo ? makeFifo(plan) : null;
  try {
    const pid = deliver({
      plan,
      joins,
      cgroup: birthplace?.number ?? null,
      dialogue: { parent: dialogue.parent, child },
      begin(joined) {
        // Nothing of the host's tree stays open in the child.
        dialogue.parent.close();
        birthplace?.close();
        const parts = { plan, tasks, console, cgroupPaths: cgroups.paths, dialogue: child.number };
        beginContainer(new Birth({ ...parts, joins: joined ? new Map() : joins, fifo: waiting?.number ?? null }));
      },
    });
    return { pid, dialogue: dialogue.parent };
  } finally {
    for (const descriptor of [...(tasks ?? []), ...joins.values()]) descriptor.close();
  }
}

function makeFifo({ paths, linux }: Plan): fs.Fd {
  const before = door().syscall(nr.SYS_umask, 0);
  fs.makeFifo(paths.fifo, 0o622);
  door().syscall(nr.SYS_umask, before);
  const [uid, gid] = [linux.uidMappings, linux.gidMappings].map(
    (maps) => maps.find((map) => map.containerID === 0)?.hostID ?? 0,
  );
  if (uid !== 0 || gid !== 0) fs.chown(paths.fifo, uid!, gid!);
  return fs.open(paths.fifo, fs.O_PATH);
}

function converse(options: CreateOptions, started: Started & Pick<Made, "cgroups" | "devices">): Created {
  const { plan } = options;
  const { pid, dialogue, cgroups } = started;
  let record: ContainerRecord | null = null;
  const settle = () => {
    if (record !== null) return;
    const prefix = "error during container init: error setting cgroup config for procHooks process: ";
    prefixed(prefix, () => setLimits(cgroups, plan.linux.resources));
    setOomScore(plan, pid);
    record = recordOf(plan, { pid, cgroups });
    writeRecord(plan.paths, record);
  };
  // With a new user namespace the child waits for its mappings first; else it is busy mounting while this goes on.
  if (plan.namespaces.get("user") !== "") settle();
  for (;;) {
    const message = hear<ChildMessage>(dialogue.number);
    if (message === null) throw new Failure("failed_precondition", deathOf(plan, pid));
    if (message.kind === "failed") throw new Failure("failed_precondition", startFailure(message));
    if (message.kind === "warning") options.warn(message.message);
    if (message.kind === "map") {
      writeMappings(pid, "uid", plan.linux.uidMappings.map(toMapping));
      writeMappings(pid, "gid", plan.linux.gidMappings.map(toMapping));
      say(dialogue.number, { kind: "go" });
      settle();
    }
    if (message.kind === "hooks") {
      settle();
      const { hooks } = plan.spec;
      started.devices.move(plan, pid);
      prefixed("error during container init: ", () =>
        runHooks([...(hooks?.prestart ?? []), ...(hooks?.createRuntime ?? [])], stateFor(plan, pid, "creating")),
      );
      say(dialogue.number, { kind: "go" });
    }
    if (message.kind === "ready") break;
  }
  settle();
  for (const limit of plan.process.limitsByParent ? plan.process.limits : []) {
    const result = trySetLimit(pid, limit);
    if (result < 0) throw limitFailure(limit.resource, result);
  }
  if (plan.filter?.listener) {
    const state = stateFor(plan, pid, "creating");
    handOverListener({ dialogue: dialogue.number, pid, listener: plan.filter.listener, state });
  }
  fs.unlinkIfThere(plan.paths.creating);
  return {
    pid,
    record: record!,
    release: () => say(dialogue.number, { kind: "go" }),
    outcome: () => outcomeOf(dialogue),
  };
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

/** Written by the parent: lowering it takes a right that a container's user namespace does not give. */
function setOomScore(plan: Plan, pid: number): void {
  const score = plan.process.spec.oomScoreAdj;
  if (score === null) return;
  try {
    fs.writeFile(`/proc/${pid}/oom_score_adj`, String(score));
  } catch (thrown) {
    if (errnoOf(thrown) !== EACCES) throw thrown;
    const why = "lowering it takes CAP_SYS_RESOURCE, which this runtime does not have";
    throw new Failure("permission_denied", `write ${score} to oom_score_adj: permission denied (${why})`);
  }
}

export function stateFor(plan: Plan, pid: number, status: string) {
  return { id: plan.id, pid, status, bundle: plan.bundle, annotations: plan.spec.annotations };
}

function recordOf(plan: Plan, { pid, cgroups }: { pid: number; cgroups: groups.Cgroups }): ContainerRecord {
  const { linux, spec, filter } = plan;
  const kept = spec.hooks === null ? null : { poststart: spec.hooks.poststart, poststop: spec.hooks.poststop };
  return {
    id: plan.id,
    init_process_pid: pid,
    init_process_start: processLife(pid)?.start ?? 0,
    created: formatTime(wallNanoseconds()),
    config: {
      rootfs: plan.rootfs,
      namespaces: [...plan.namespaces].map(([kind, path]) => ({ type: namespaceName(kind), path })),
      cgroups: { name: plan.id, path: linux.cgroupsPath, freezer: "", Systemd: false, Rootless: false },
      uid_mappings: keptMappings(linux.uidMappings),
      gid_mappings: keptMappings(linux.gidMappings),
      version: spec.ociVersion,
      no_new_keyring: plan.process.noNewKeyring,
      Hooks: kept,
      labels: [`bundle=${plan.bundle}`, ...Object.entries(spec.annotations).map(([key, value]) => `${key}=${value}`)],
      memory_policy: plan.process.memoryPolicy,
      seccomp_flags: filter === null ? null : filter.flags,
      seccomp_listener: filter === null ? null : filter.listener,
    },
    rootless: false,
    cgroup_paths: cgroups.paths,
    namespace_paths: namespacePaths(pid),
    external_descriptors: [],
    intel_rdt_path: "",
  };
}

interface Made {
  pid: number;
  cgroups: groups.Cgroups;
  devices: NetDevices;
}

function undo(plan: Plan, made: Omit<Made, "devices">): void {
  if (made.pid > 0) {
    kill(made.pid, SIGKILL);
    waitChild(made.pid);
  }
  groups.killAll(made.cgroups.paths);
  groups.removeCgroups(made.cgroups.paths);
  removeDirectoryOf(plan.paths);
}
