// Takes away what a container left: processes, cgroups, its directory. Every step may find its work done already, so it
// can be repeated after any crash; only one command at a time does it (lock.ts).
//
//     kill ─▶ lock ─▶ cgroups ─▶ state.json and the rest ─▶ directory ─▶ unlock ─▶ poststop hooks

import { Failure, messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EBUSY, ENOENT, errnoOf } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { MNT_DETACH, unmountIfMounted } from "../linux/mount.ts";
import * as nr from "../linux/numbers.ts";
import { kill, killByPidfd, SIGKILL } from "../linux/signal.ts";
import { openChild, unlinkAt } from "../linux/tree.ts";
import { freeze, thaw, thawIfFrozen } from "./cgroups/freezer.ts";
import * as groups from "./cgroups/manager.ts";
import { type KeptUnit, stopUnit } from "./cgroups/systemd/scope.ts";
import { failpoint } from "./failpoints.ts";
import { runHooks } from "./hooks.ts";
import { type Paths, readMade } from "./layout.ts";
import { isStillThere, lockForRemoval, openDirectory, tryLock } from "./lock.ts";
import { keptHooks, RECORD_LIMIT, salvage } from "./record.ts";
import { leaveResctrl } from "./resctrl.ts";
import { type Container, type ContainerRecord, holdInit, stateOf, unitOfRecord } from "./state.ts";

/** Waits for a killed first process to be gone: rounds of this many milliseconds, as long as the original's. */
const GONE_ROUNDS = 100;
const GONE_WAIT = 100;
/** Directories below a container's own that are looked into when it is cleared. */
const DEPTH_LIMIT = 32;
const DT_DIR = 4;

/** Removes the directory with the files that may be in it. */
export function removeDirectoryOf(paths: Paths): void {
  for (const file of [paths.state, paths.fifo, paths.filter, paths.made]) unlinkPlain(file);
  failpoint("delete.record");
  const removed = door().syscall(nr.SYS_rmdir, paths.directory);
  if (removed >= 0 || removed === -ENOENT) return;
  // Something of a broken-off write, or of another runtime.
  using directory = openDirectory(paths.directory);
  if (directory === null) return;
  clearTree(directory, 0);
  fs.removeDirectory(paths.directory);
}

/** What is no plain file is left for clearTree. */
function unlinkPlain(path: string): void {
  door().syscall(nr.SYS_unlink, path);
}

function clearTree(directory: fs.Fd, depth: number): void {
  if (depth > DEPTH_LIMIT) throw new Failure("resource_exhausted", "the container's directory is nested too deep");
  for (const { name, kind } of fs.listOpenDirectory(directory.number)) {
    if (kind === DT_DIR) {
      // The original's restore, broken off, leaves the container's root mounted there.
      unmountIfMounted(`/proc/self/fd/${directory.number}/${name}`, MNT_DETACH);
      using child = openChild(directory.number, name, fs.O_RDONLY | fs.O_DIRECTORY);
      clearTree(child, depth + 1);
    }
    unlinkAt(directory.number, name, kind === DT_DIR);
  }
}

export interface Removal {
  /** Poststop hooks that fail are only warned of. */
  warn(message: string): void;
  /** The container's directory, opened before its record was read; null: opened now. */
  directory: fs.Fd | null;
  /** Also what the record does not know of, should it be wrong. */
  force: boolean;
}

/** For a stopped container: its cgroups, its directory, then the poststop hooks. False when another command was
 *  quicker. */
export function removeContainer(container: Container, { warn, directory: given, force }: Removal): boolean {
  const { paths, record } = container;
  using opened = given === null ? openDirectory(paths.directory) : null;
  const directory = given ?? opened;
  if (directory === null || !lockForRemoval(directory)) return false;
  failpoint("delete.locked");
  const afterwards = poststopOf(container, warn);
  // Without a pid namespace of its own the first process's end did not end the others.
  if (!hasOwnPids(record.config.namespaces)) groups.killAll(record.cgroup_paths);
  const unit = unitOfRecord(record);
  if (unit !== null) endUnit(unit, warn);
  if (force) clearCgroups(record.cgroup_paths, readMade(paths).cgroups);
  else groups.removeCgroups(record.cgroup_paths);
  if (record.config.resctrl) leaveResctrl(record.config.resctrl);
  failpoint("delete.cgroups");
  removeDirectoryOf(paths);
  failpoint("delete.directory");
  directory.close();
  afterwards();
  failpoint("delete.hooks");
  return true;
}

/** A process that is still in them is one of which the record says nothing. */
function clearCgroups(recorded: groups.CgroupPaths, made: groups.CgroupPaths): void {
  const all = { ...recorded, ...made };
  const agree = Object.keys(all).every((name) => recorded[name] === all[name]);
  if (!agree) endAll(all);
  try {
    groups.removeCgroups(all);
  } catch (thrown) {
    if (errnoOf(thrown) !== EBUSY) throw thrown;
    endAll(all);
    groups.removeCgroups(all);
  }
}

function endAll(cgroups: groups.CgroupPaths): void {
  thawIfFrozen(cgroups);
  groups.killAll(cgroups);
}

function poststopOf(container: Container, warn: (message: string) => void): () => void {
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (thrown) {
      warn(messageOf(thrown));
    }
  };
  let run = () => {};
  attempt(() => {
    const hooks = keptHooks(container.record, "poststop");
    if (hooks.length === 0) return;
    const { id, bundle, annotations } = stateOf(container);
    run = () =>
      attempt(() =>
        runHooks({
          ...{ kind: "poststop", hooks, environment: door().env },
          state: { id, bundle, annotations, pid: 0, status: "stopped" },
        }),
      );
  });
  return run;
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
export function killContainer({ record }: Pick<Container, "record">): void {
  using pidfd = holdInit(record);
  if (pidfd !== null) killByPidfd(pidfd.number, SIGKILL);
  if (!hasOwnPids(record.config.namespaces)) killEveryone(record);
  if (pidfd !== null) awaitEnd(pidfd, record);
  failpoint("delete.killed");
}

function awaitEnd(pidfd: fs.Fd, { cgroup_paths: cgroups }: Pick<ContainerRecord, "cgroup_paths">): void {
  for (let round = 0; round < GONE_ROUNDS; round++) {
    // v1 keeps a frozen process even from dying; another command may freeze it at any time.
    thawIfFrozen(cgroups);
    // struct pollfd: int fd, short events (POLLIN: it has ended), short revents
    if (door().syscall(nr.SYS_poll, Int32Array.of(pidfd.number, 1), 1, GONE_WAIT) > 0) return;
  }
  throw new Failure("failed_precondition", "container init still running");
}

/** Frozen first, so that nothing can fork away from the list. */
function killEveryone({ cgroup_paths: paths }: ContainerRecord): void {
  try {
    freeze(paths);
    for (const pid of groups.allProcesses(paths)) kill(pid, SIGKILL);
  } catch {
    // No freezer: killAll goes round until none is left.
  }
  thawQuietly(paths);
  groups.killAll(paths);
}

/** It may be gone, or have no freezer. */
function thawQuietly(paths: groups.CgroupPaths): void {
  try {
    thaw(paths);
  } catch (thrown) {
    if (errnoOf(thrown) === 0) throw thrown;
  }
}

/** What a create that was killed left, or what has no readable record any more: found by the `made` link, and by what a
 *  damaged record still says. `force` waits for a create that is under way, else that is left alone. False when
 *  there is nothing to remove. */
export function removeBroken(paths: Paths, force: boolean): boolean {
  using directory = openDirectory(paths.directory);
  if (directory === null) return false;
  const locked = force ? lockForRemoval(directory) : tryLock(directory) && isStillThere(directory);
  if (!locked) return false;
  const known = salvage(readDamaged(paths));
  const made = readMade(paths);
  const cgroups = { ...known.cgroup_paths, ...made.cgroups };
  using pidfd = holdInit(known);
  if (pidfd !== null) {
    killByPidfd(pidfd.number, SIGKILL);
    awaitEnd(pidfd, { cgroup_paths: cgroups });
  }
  endAll(cgroups);
  if (made.keeper !== "files") endUnit({ paths: cgroups, user: made.keeper === "user" }, () => {});
  groups.removeCgroups(cgroups);
  removeDirectoryOf(paths);
  return true;
}

function readDamaged(paths: Paths): string {
  try {
    return fs.readTextIfThere(paths.state, RECORD_LIMIT) ?? "";
  } catch {
    // A directory of that name, say.
    return "";
  }
}
