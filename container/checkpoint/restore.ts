// A container made from an image directory. What create.ts does with a clone and a dialogue, criu does here; names,
// cgroups, limits and the record are made alike, and what fails is undone alike.
//
//     criu's version ─▶ images ─▶ claim, made link ─▶ cgroups ─▶ criu, born in them ─▶ limits ─▶ request
//       ─▶ [setup-namespaces: hooks] ─▶ [orphan-pts-master: terminal] ─▶ [post-restore: record] ─▶ criu's end

import { CgroupRoot, CriuReqType } from "../../api/criu/gen/rpc.ts";
import { Failure } from "../../base/errors.ts";
import * as fs from "../../linux/fd.ts";
import type { NamespaceKind } from "../../linux/namespace.ts";
import { waitChild } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import { sendDescriptor } from "../../linux/socket.ts";
import { cgroupsOf } from "../cgroups/hierarchies.ts";
import { stateFor } from "../create.ts";
import { giveFilter } from "../filters.ts";
import { runEarlyHooks } from "../hooks.ts";
import { recordOf } from "../kept.ts";
import { claim } from "../layout.ts";
import type { Plan } from "../plan.ts";
import { makeReadinessDirectory } from "../readiness.ts";
import { removeDirectoryOf } from "../remove.ts";
import { type ContainerRecord, namespaceName, writeRecord } from "../state.ts";
import { carryOut, type Notification } from "./converse.ts";
import { readInherited, standardOf } from "./descriptors.ts";
import { RestoredGroups } from "./groups.ts";
import { type MountedContainer, prepareRoot, restoredMounts } from "./mounts.ts";
import { type RestoredNamespaces, restoredNamespaces } from "./namespaces.ts";
import { inOwnMounts } from "./own-mounts.ts";
import {
  type CheckpointSettings,
  cgroupModeOf,
  commonOptions,
  type Directories,
  openDirectories,
  type Voice,
} from "./settings.ts";
import { CRIU_LSM_OPTIONS, CRIU_TIME_NAMESPACE, Criu } from "./tool.ts";
import type { Worker } from "./worker.ts";

const LOG = "restore.log";
/** In the container's directory while criu works: where it finds the root. */
const ROOT = "criu-root";
const TIME_NAMESPACE = "/proc/self/ns/time";
const STANDARD = [0, 1, 2];

export interface RestoreOptions {
  plan: Plan;
  settings: CheckpointSettings;
  env: Readonly<Record<string, string>>;
  /** Where the terminal's master goes; null without a terminal, and then the processes get our standard descriptors. */
  console: number | null;
  voice: Voice;
}

export interface Restored {
  /** A child of ours. */
  pid: number;
  record: ContainerRecord;
  /** Whether a terminal came, and so went to the console. */
  terminal: boolean;
}

export function restoreContainer(options: RestoreOptions): Restored {
  const { plan, settings, voice } = options;
  cgroupModeOf(settings.cgroupsMode);
  const criu = new Criu(options.env, voice);
  voice.debug?.(`Using CRIU ${criu.version}`);
  for (const [flag, value] of [
    ["--lsm-profile", settings.lsmProfile],
    ["--lsm-mount-context", settings.lsmMountContext],
  ] as const) {
    if (value === "" || criu.reaches(CRIU_LSM_OPTIONS)) continue;
    throw new Failure("failed_precondition", `${flag} requires at least CRIU 3.16`);
  }
  const inherited = readInherited(settings.imagePath);
  using namespaces = restoredNamespaces(criu, plan.namespaces);
  using _lock = claim(plan.paths);
  const making: Making = { ...options, criu, groups: new RestoredGroups(plan), pid: 0 };
  try {
    making.groups.make();
    makeDirectories(making);
    const started = startWorker(making, namespaces);
    using directories = started.directories;
    using worker = started.worker;
    making.groups.settle(worker.pid);
    const { annotations } = plan.spec;
    const opts = {
      ...commonOptions(settings, { directories, logFile: LOG, annotations }),
      ...{ evasiveDevices: true, rstSibling: true, root: rootOf(plan) },
      ...{ lsmProfile: settings.lsmProfile || null, lsmMountContext: settings.lsmMountContext || null },
      extMnt: restoredMounts(mountedOf(making)),
      cgRoot: [...cgroupsOf(worker.pid)].map(([ctrl, path]) => CgroupRoot.create({ ctrl, path })),
      inheritFd: [...namespaces.inheritFd, ...inherited],
      joinNs: namespaces.joinNs,
    };
    return carryOutRestore(making, worker, { opts, log: `${directories.logs}/${LOG}` });
  } catch (thrown) {
    undo(making);
    throw thrown;
  }
}

/** What is made on the way, and undone when it does not end well. */
interface Making extends RestoreOptions {
  criu: Criu;
  groups: RestoredGroups;
  /** The restored first process, once there is one. */
  pid: number;
}

function rootOf(plan: Plan): string {
  return `${plan.paths.directory}/${ROOT}`;
}

function mountedOf({ plan, groups }: Making): MountedContainer {
  const { rootfs, bundle, mounts, linux } = plan;
  return {
    rootfs,
    bundle,
    mounts,
    linux,
    cgroups: groups.cgroups.paths,
    cgroupNamespace: plan.namespaces.has("cgroup"),
  };
}

function makeDirectories({ plan }: Making): void {
  if (plan.filter !== null) giveFilter(plan.filter, plan.paths.filter);
  if (plan.readiness) makeReadinessDirectory(plan.paths);
  fs.makeDirectory(rootOf(plan), 0o755);
}

/** criu stands in the container's cgroups, so that what it restores is born there, too. */
function startWorker(making: Making, namespaces: RestoredNamespaces): { worker: Worker; directories: Directories } {
  const { plan, settings, console, criu } = making;
  const { birthplace, tasks } = making.groups.open();
  try {
    return inOwnMounts(() => {
      prepareRoot(mountedOf(making), rootOf(plan));
      const directories = openDirectories(settings, false);
      const worker = criu.start({
        standard: console === null ? STANDARD : [null, null, null],
        inherited: namespaces.descriptors,
        cgroup: birthplace?.number ?? null,
        tasks,
      });
      return { worker, directories };
    });
  } finally {
    for (const file of tasks) file.close();
    birthplace?.close();
  }
}

function carryOutRestore(
  making: Making,
  worker: Worker,
  work: { opts: Parameters<typeof carryOut>[1]["opts"]; log: string },
): Restored {
  const { plan, voice } = making;
  const external = standardOf(worker.pid);
  let record: ContainerRecord | null = null;
  let terminal = false;
  const notified = ({ script, pid, descriptor }: Notification) => {
    if (script === "setup-namespaces") {
      runEarlyHooks(plan.spec.hooks, stateFor(plan, pid, "creating"));
    } else if (script === "orphan-pts-master" && descriptor !== null && making.console !== null) {
      sendDescriptor(making.console, descriptor.number, script);
      terminal = true;
    } else if (script === "post-restore") {
      making.pid = pid;
      record = restoredRecord(making, external);
      writeRecord(plan.paths, record);
    }
  };
  const { restore } = carryOut(worker, { type: CriuReqType.RESTORE, ...work, notified }, voice);
  if (record === null || (restore?.pid ?? making.pid) !== making.pid) {
    throw new Failure("internal", "criu restored no process that it told of");
  }
  fs.removeDirectory(rootOf(plan));
  return { pid: making.pid, record, terminal };
}

function restoredRecord({ plan, groups, criu, pid }: Making, external: string[]): ContainerRecord {
  const record = recordOf(plan, { pid, cgroups: groups.cgroups, resctrl: null });
  const { namespaces } = record.config;
  // criu restores into one, so that monotonic clocks go on from where they were; exec has to join it.
  const time: NamespaceKind = "time";
  if (!plan.namespaces.has(time) && fs.stat(TIME_NAMESPACE) !== null && criu.reaches(CRIU_TIME_NAMESPACE)) {
    namespaces.push({ type: namespaceName(time), path: "" });
  }
  return { ...record, external_descriptors: external };
}

function undo({ plan, groups, pid }: Making): void {
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitChild(pid);
  }
  groups.undo();
  removeDirectoryOf(plan.paths);
}
