// Takes away what a container left: processes, cgroups, its directory. Every step may find its work done already, so it
// can be repeated after any crash.

import { messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { ENOENT, errnoOf } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { MNT_DETACH, unmountIfMounted } from "../linux/mount.ts";
import { pause } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { freeze, thaw } from "./cgroups/freezer.ts";
import * as groups from "./cgroups/manager.ts";
import { type KeptUnit, stopUnit } from "./cgroups/systemd/scope.ts";
import { runHooks } from "./hooks.ts";
import { type Paths, pathsOf, readCreating } from "./layout.ts";
import { leaveResctrl } from "./resctrl.ts";
import { type Container, isAlive, stateOf, statusOf, unitOfRecord } from "./state.ts";

/** Waits for a killed first process to be gone: rounds of this many milliseconds. */
const GONE_ROUNDS = 100;
const GONE_WAIT = 100;
/** Directories below a container's own that are looked into. */
const DEPTH = 2;
const DT_DIR = 4;

/** Removes the directory with the files that may be in it. */
export function removeDirectoryOf(paths: Paths): void {
  for (const file of [paths.state, paths.fifo, paths.filter, paths.creating]) fs.unlinkIfThere(file);
  try {
    fs.removeDirectory(paths.directory);
  } catch (thrown) {
    if (errnoOf(thrown) === ENOENT) return;
    // The socket of readiness, something of a broken-off write, or of another runtime.
    removeEntries(paths.directory, DEPTH);
    fs.removeDirectory(paths.directory);
  }
}

function removeEntries(directory: string, depth: number): void {
  for (const { name, kind } of fs.listDirectory(directory)) {
    const path = `${directory}/${name}`;
    if (kind === DT_DIR && depth > 0) {
      // The original's restore, broken off, leaves the container's root mounted there.
      unmountIfMounted(path, MNT_DETACH);
      removeEntries(path, depth - 1);
      fs.removeDirectory(path);
    } else fs.unlinkIfThere(path);
  }
}

/** For a stopped container: its cgroups, its directory, then the poststop hooks, whose failures are only warned of. */
export function removeContainer({ paths, record }: Container, warn: (message: string) => void): void {
  const after = stateOf({ paths, record });
  // Without a pid namespace of its own the first process's end did not end the others.
  if (!hasOwnPids(record.config.namespaces)) groups.killAll(record.cgroup_paths);
  const unit = unitOfRecord(record);
  if (unit !== null) endUnit(unit, warn);
  groups.removeCgroups(record.cgroup_paths);
  if (record.config.resctrl) leaveResctrl(record.config.resctrl);
  removeDirectoryOf(paths);
  const hooks = record.config.Hooks?.poststop ?? [];
  try {
    runHooks({
      ...{ kind: "poststop", hooks, environment: door().env },
      state: { ...after, pid: 0, status: "stopped" },
    });
  } catch (thrown) {
    warn(messageOf(thrown));
  }
}

/** What cannot be said to systemd it sees by itself, when the cgroup is gone. */
export function endUnit(unit: KeptUnit, warn: (message: string) => void): void {
  try {
    stopUnit(unit);
  } catch (thrown) {
    warn(messageOf(thrown));
  }
}

export function hasOwnPids(namespaces: readonly { type: string; path: string }[]): boolean {
  return namespaces.some((namespace) => namespace.type === "NEWPID" && namespace.path === "");
}

/** Kills the first process (and the others where that does not take them along) and waits until it is gone. */
export function killContainer(container: Container): void {
  const { record } = container;
  if (statusOf(container) === "paused") thaw(record.cgroup_paths);
  if (isAlive(record)) kill(record.init_process_pid, SIGKILL);
  if (!hasOwnPids(record.config.namespaces)) killEveryone(container);
  for (let round = 0; round < GONE_ROUNDS && isAlive(record); round++) pause(Math.min(1 << round, GONE_WAIT));
}

/** Frozen first, so that nothing can fork away from the list. */
function killEveryone({ record }: Container): void {
  try {
    freeze(record.cgroup_paths);
    for (const pid of groups.allProcesses(record.cgroup_paths)) kill(pid, SIGKILL);
  } catch {
    // No freezer: killAll goes round until none is left.
  }
  thaw(record.cgroup_paths);
  groups.killAll(record.cgroup_paths);
}

/** What a create that was killed left, found by its `creating` link. True when there was something. */
export function removeBroken(root: string, id: string): boolean {
  const paths = pathsOf(root, id);
  if (fs.stat(paths.directory) === null) return false;
  const { cgroups, keeper } = readCreating(paths) ?? { cgroups: {}, keeper: "files" };
  groups.killAll(cgroups);
  if (keeper !== "files") endUnit({ paths: cgroups, user: keeper === "user" }, () => {});
  groups.removeCgroups(cgroups);
  removeDirectoryOf(paths);
  return true;
}
