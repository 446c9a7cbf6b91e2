// The record of a container on disk (state.json, runc's shape as far as its readers look) and what it says now.
//
//     creating ──▶ created ──start──▶ running ◀──pause/resume──▶ paused
//                     └──────────────────┴──────▶ stopped ──delete──▶ (gone)
//
// The record never says which: that is asked of the kernel each time. A pid counts only with its start time, because
// pids are used again.

import { Failure } from "../base/errors.ts";
import { formatJson } from "../base/json.ts";
import { door } from "../linux/door.ts";
import { ENOENT } from "../linux/errno.ts";
import { type Fd, readTextIfThere, replaceFile, stat } from "../linux/fd.ts";
import { NAMESPACES, type NamespaceKind } from "../linux/namespace.ts";
import * as nr from "../linux/numbers.ts";
import { openPidfdIfThere, type ProcessLife, processLife } from "../linux/pidfd.ts";
import { isFrozen } from "./cgroups/freezer.ts";
import type { CgroupPaths } from "./cgroups/manager.ts";
import type { KeptUnit } from "./cgroups/systemd/scope.ts";
import { type Paths, pathsOf } from "./layout.ts";
import { RECORD_LIMIT, readRecord } from "./record.ts";
import type { KeptResctrl } from "./resctrl.ts";
import type { Listener } from "./seccomp.ts";
import type { MemoryPolicy } from "./spec/memory.ts";
import type { MappingSpec } from "./spec/schema.ts";
import { SPEC_VERSION } from "./version.ts";

export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** What is kept of the configuration, under libcontainer's names. */
export interface KeptConfig {
  rootfs: string;
  namespaces: { type: string; path: string }[];
  /** `freezer` only makes the original see a set of resources, without which it reads no record. */
  cgroups: {
    name: string;
    path: string;
    freezer: string;
    /** Kept by systemd as SCOPE_PREFIX-NAME.scope in the slice `parent`. */
    Systemd: boolean;
    parent?: string;
    scope_prefix?: string;
    Rootless: boolean;
  };
  rootless_euid: boolean;
  rootless_cgroups: boolean;
  uid_mappings: { container_id: number; host_id: number; size: number }[] | null;
  gid_mappings: { container_id: number; host_id: number; size: number }[] | null;
  no_new_keyring: boolean;
  personality: { domain: number } | null;
  /** The specification's version, as the original's `state` shows it. */
  version: string;
  /** poststart and poststop, read by keptHooks (record.ts). */
  Hooks: unknown;
  /** "bundle=…", then the annotations as "key=value". */
  labels: string[];
  /** Null without linux.intelRdt. Ours. */
  resctrl: KeptResctrl | null;
  /** For exec. */
  memory_policy: MemoryPolicy | null;
  /** SECCOMP_FILTER_FLAG_* to load seccomp.bpf with, for exec; null without a filter. Ours. */
  seccomp_flags: number | null;
  /** Who is asked about its calls, for exec. Ours. */
  seccomp_listener: Listener | null;
  /** The original's, which keeps the rules; we only ask whether there are any. */
  seccomp?: unknown;
}

export interface ContainerRecord {
  id: string;
  init_process_pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  init_process_start: number;
  created: string;
  config: KeptConfig;
  rootless: boolean;
  cgroup_paths: CgroupPaths;
  namespace_paths: Record<string, string>;
  external_descriptors: string[];
  intel_rdt_path: string;
}

/** What `state`, `list` and hooks show. */
export interface State {
  ociVersion: string;
  id: string;
  pid: number;
  status: Status;
  bundle: string;
  rootfs: string;
  created: string;
  annotations: Record<string, string>;
  owner: string;
}

const NAMES: Readonly<Record<NamespaceKind, string>> = {
  mount: "NEWNS",
  network: "NEWNET",
  uts: "NEWUTS",
  ipc: "NEWIPC",
  user: "NEWUSER",
  pid: "NEWPID",
  cgroup: "NEWCGROUP",
  time: "NEWTIME",
};

export function namespaceName(kind: NamespaceKind): string {
  return NAMES[kind];
}

export function namespacePaths(pid: number): Record<string, string> {
  const paths: Record<string, string> = {};
  for (const kind of Object.keys(NAMES) as NamespaceKind[]) {
    paths[NAMES[kind]] = `/proc/${pid}/ns/${NAMESPACES[kind].file}`;
  }
  return paths;
}

export function keptMappings(mappings: readonly MappingSpec[]): KeptConfig["uid_mappings"] {
  if (mappings.length === 0) return null;
  return mappings.map(({ containerID, hostID, size }) => ({ container_id: containerID, host_id: hostID, size }));
}

/** Null where no systemd keeps the cgroups. */
export function unitOfRecord({ config, cgroup_paths: paths }: ContainerRecord): KeptUnit | null {
  return config.cgroups.Systemd ? { paths, user: config.cgroups.Rootless } : null;
}

export function writeRecord(paths: Paths, record: ContainerRecord): void {
  replaceFile(paths.state, formatJson(record), 0o600);
}

export interface Container {
  paths: Paths;
  record: ContainerRecord;
}

/** Throws "container does not exist" when there is none of that id. */
export function loadContainer(root: string, id: string): Container {
  const paths = pathsOf(root, id);
  const text = readTextIfThere(paths.state, RECORD_LIMIT);
  if (text === null) throw new Failure("not_found", "container does not exist");
  return { paths, record: readRecord(text, paths.state) };
}

/** The name of a first process until its program runs, as the original's is. */
export const INIT_NAME = "runc:[2:INIT]";

/** The life of the first process; null when it has ended, also if its pid is another's by now. */
export function lifeOf(record: Pick<ContainerRecord, "init_process_pid" | "init_process_start">): ProcessLife | null {
  const life = processLife(record.init_process_pid);
  const alive = life?.start === record.init_process_start && life.letter !== "Z" && life.letter !== "X";
  return alive ? life : null;
}

/** The first process, held so that its number cannot come to mean another; null when it has ended. */
export function holdInit(record: Pick<ContainerRecord, "init_process_pid" | "init_process_start">): Fd | null {
  if (record.init_process_pid <= 0) return null;
  const pidfd = openPidfdIfThere(record.init_process_pid);
  if (pidfd === null || lifeOf(record) !== null) return pidfd;
  pidfd.close();
  return null;
}

export function isAlive(record: ContainerRecord): boolean {
  return lifeOf(record) !== null;
}

export function statusOf({ paths, record }: Container): Status {
  const life = lifeOf(record);
  if (life === null) return "stopped";
  // A start that was killed after the program went on has left the fifo behind.
  const waits = life.name === INIT_NAME && door().syscall(nr.SYS_access, paths.fifo, 0) !== -ENOENT;
  if (waits) return "created";
  return isFrozen(record.cgroup_paths) ? "paused" : "running";
}

export function stateOf(container: Container): State {
  const { record, paths } = container;
  const status = statusOf(container);
  const annotations: Record<string, string> = {};
  let bundle = "";
  for (const label of record.config.labels) {
    const [, key, value] = /^([^=]*)=(.*)$/s.exec(label) ?? ["", label, ""];
    if (key === "bundle") bundle = value!;
    else annotations[key!] = value!;
  }
  return {
    ociVersion: SPEC_VERSION,
    id: record.id,
    pid: status === "stopped" ? 0 : record.init_process_pid,
    status,
    bundle,
    rootfs: record.config.rootfs,
    created: record.created,
    annotations,
    owner: ownerOf(paths.directory),
  };
}

/** What `state` says. The original leaves the owner empty there and fills it in `list`. */
export function stateAsJson(container: Container): string {
  const { annotations, owner: _, ...rest } = stateOf(container);
  const some = Object.keys(annotations).length > 0;
  return JSON.stringify({ ...rest, ...(some ? { annotations } : {}), owner: "" }, null, 2);
}

/** The name of the user who made the container, by /etc/passwd; "" when that does not say. */
function ownerOf(directory: string): string {
  const uid = stat(directory)?.uid;
  for (const line of (readTextIfThere("/etc/passwd") ?? "").split("\n")) {
    const [name, , id] = line.split(":");
    if (name !== undefined && id === String(uid)) return name;
  }
  return "";
}
