// A container written to an image directory, stage by stage; it ends there unless it is to go on.
//
//     criu's version ─▶ directories ─▶ namespaces, mounts, cgroup named ─▶ features ─▶ descriptors.json ─▶ criu
//
// What is mounted in the container is read from its bundle again: the record does not carry it, because every start
// would pay for that.

import { CriuPageServerInfo, CriuReqType } from "../../api/criu/gen/rpc.ts";
import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import * as fs from "../../linux/fd.ts";
import type { NamespaceKind } from "../../linux/namespace.ts";
import { NAMESPACES } from "../../linux/namespace.ts";
import * as nr from "../../linux/numbers.ts";
import { readBundle } from "../plan.ts";
import { readinessMount } from "../readiness.ts";
import { planMount } from "../spec/mounts.ts";
import { readSpec } from "../spec/schema.ts";
import { type Container, type ContainerRecord, namespaceName, stateOf } from "../state.ts";
import { carryOut, type Notification } from "./converse.ts";
import { standardOf, writeDescriptors } from "./descriptors.ts";
import { dumpedMounts } from "./mounts.ts";
import { externalNamespaces } from "./namespaces.ts";
import { type CheckpointSettings, cgroupModeOf, commonOptions, openDirectories, type Voice } from "./settings.ts";
import { CRIU_STATUS_READY, CRIU_UNIFIED_FREEZER, Criu } from "./tool.ts";

const LOG = "dump.log";
/** In the container's directory: it has been written to images at least once. */
const MARK = "checkpoint";
const ACCESS_MODE = 3;

export interface DumpOptions {
  container: Container;
  settings: CheckpointSettings;
  /** criu's, in which it is also looked for. */
  env: Readonly<Record<string, string>>;
  voice: Voice;
}

export function dumpContainer({ container, settings, env, voice }: DumpOptions): void {
  const { record, paths } = container;
  cgroupModeOf(settings.cgroupsMode);
  const criu = new Criu(env, voice);
  voice.debug?.(`Using CRIU ${criu.version}`);
  const state = stateOf(container);
  using directories = openDirectories(settings, true);
  const joined = new Map<NamespaceKind, string>();
  for (const { type, path } of record.config.namespaces) joined.set(kindOf(type), path);
  const lazy = settings.lazyPages ? requireLazyPages(criu, settings.statusFd) : null;
  if (settings.preDump) criu.requireFeatures({ memTrack: true });
  const opts = {
    ...commonOptions(settings, { directories, logFile: LOG, annotations: state.annotations }),
    root: record.config.rootfs,
    pid: record.init_process_pid,
    leaveRunning: settings.leaveRunning,
    tcpSkipInFlight: settings.tcpSkipInFlight,
    linkRemap: settings.linkRemap,
    external: externalNamespaces(criu, joined),
    freezeCgroup: freezerOf(record, criu),
    statusFd: lazy,
    ps: settings.pageServer === null ? null : CriuPageServerInfo.create(settings.pageServer),
    parentImg: settings.parentPath === "" ? null : settings.parentPath,
    trackMem: settings.parentPath === "" ? null : true,
  };
  // A pre-dump writes memory alone.
  if (!settings.preDump) {
    const spec = readBundle(state.bundle);
    const linux = spec.linux ?? readSpec({ linux: {} }, "").linux!;
    const ready = fs.stat(paths.notify) !== null;
    const mounts = ready ? [...spec.mounts, readinessMount(paths)] : spec.mounts;
    opts.extMnt = dumpedMounts(
      {
        ...{ rootfs: record.config.rootfs, bundle: state.bundle, linux, cgroups: record.cgroup_paths },
        mounts: mounts.map(planMount),
        cgroupNamespace: joined.has("cgroup"),
      },
      record.init_process_pid,
    );
    const known = record.external_descriptors;
    writeDescriptors(settings.imagePath, known.length > 0 ? known : standardOf(record.init_process_pid));
  }
  const status = { fd: settings.statusFd };
  const notified = (notification: Notification) => {
    if (notification.script === "post-dump") fs.writeFile(`${paths.directory}/${MARK}`, "", 0o600);
    else if (notification.script === "status-ready") tellReady(status, voice);
  };
  const type = settings.preDump ? CriuReqType.PRE_DUMP : CriuReqType.DUMP;
  using worker = criu.start({});
  carryOut(worker, { type, opts, log: `${directories.logs}/${LOG}`, notified }, voice);
}

function kindOf(name: string): NamespaceKind {
  for (const kind of Object.keys(NAMESPACES) as NamespaceKind[]) if (namespaceName(kind) === name) return kind;
  throw new Failure("invalid_argument", `the record names an unknown namespace ${name}`);
}

/** The cgroup by which criu stops the container's processes; without one it stops each by ptrace. */
function freezerOf({ cgroup_paths: cgroups }: ContainerRecord, criu: Criu): string | null {
  const unified = Object.keys(cgroups).every((name) => name === "");
  if (unified && !criu.reaches(CRIU_UNIFIED_FREEZER)) return null;
  return cgroups["freezer"] ?? (unified ? (cgroups[""] ?? null) : null);
}

/** The descriptor that criu itself writes to when lazy pages can be fetched; null when it notifies us instead. */
function requireLazyPages(criu: Criu, statusFd: number): number | null {
  criu.requireFeatures({ lazyPages: true });
  if (statusFd === -1) return null;
  const flags = door().syscall(nr.SYS_fcntl, statusFd, fs.F_GETFL, 0);
  const refuse = (why: string) => {
    throw new Failure("invalid_argument", `invalid --status-fd argument ${statusFd}: ${why}`);
  };
  if (flags < 0) refuse("bad file descriptor");
  if ((flags & ACCESS_MODE) === fs.O_RDONLY) refuse("not writable");
  return criu.reaches(CRIU_STATUS_READY) ? null : statusFd;
}

/** Once: whoever waits for the byte also waits for the end of file. */
function tellReady(status: { fd: number }, voice: Voice): void {
  if (status.fd === -1) return;
  try {
    fs.writeAll(status.fd, new Uint8Array(1));
  } catch (thrown) {
    voice.warn(`can't write \\0 to status fd: ${(thrown as Error).message}`);
  }
  fs.close(status.fd);
  status.fd = -1;
}
