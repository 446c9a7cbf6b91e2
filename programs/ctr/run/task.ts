// The life of a task as `run`, `tasks start`, `tasks attach` and `tasks exec` lead it: streams, terminal, signals, the
// wait for its end, and its exit code as this program's own.

import { writeFileSync } from "node:fs";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import { parseJson } from "../../../base/json.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { Nouns } from "../../../core/remote.ts";
import type { Process, Spec } from "../../../core/spec/oci.ts";
import type { ProcessName, TaskExit, TaskProcess, TaskStatus } from "../../../core/tasks/tasks.ts";
import { sentenceOf, systemFailure } from "../cli/errors.ts";
import { removeFifos } from "../io/fifos.ts";
import { forwardSignals } from "../io/signals.ts";
import { type IoRequest, ProcessIo } from "../io/streams.ts";
import { carrySize, rawTerminal } from "../io/terminal.ts";
import { PROCESS_TYPE, specValue } from "./create.ts";
import { withoutPivot } from "./no-pivot.ts";

export interface StartOptions extends Omit<IoRequest, "id" | "terminal"> {
  readonly detach: boolean;
  /** Empty for none. */
  readonly pidFile: string;
  readonly noPivot: boolean;
}

export function specOfContainer(container: Container): Spec {
  if (container.spec === null) throw new Failure("invalid_argument", "the container has no spec: invalid argument");
  return parseJson(decodeUtf8(container.spec.value)) as unknown as Spec;
}

/** The task of a container; both have their own words when there is none. */
export async function taskOf(nouns: Nouns, id: string): Promise<{ container: Container; task: TaskProcess }> {
  const container = await nouns.containers.get(id);
  try {
    return { container, task: await nouns.tasks.get({ containerId: id, execId: "" }) };
  } catch (thrown) {
    if (codeOf(thrown) !== "not_found") throw thrown;
    throw new Failure("not_found", `no running task found: ${sentenceOf(thrown)}`);
  }
}

/** Creates and starts the container's task; its exit code, or 0 at once when detached. */
export async function startTask(nouns: Nouns, container: Container, options: StartOptions): Promise<number> {
  const terminal = specOfContainer(container).process?.terminal === true;
  const name: ProcessName = { containerId: container.id, execId: "" };
  const { tasks } = nouns;
  using _raw = terminal && !options.detach ? rawTerminal() : null;
  const io = ProcessIo.make({ ...options, id: container.id, terminal });
  let created = false;
  try {
    using _held = options.detach ? io.hold() : null;
    if (!options.detach) io.attach();
    const rootfs = await rootMounts(nouns, container);
    const task = { ...io.io, containerId: container.id, rootfs, runtimePath: "", checkpoint: null };
    const pid = await tasks.create({ ...task, options: options.noPivot ? withoutPivot(container) : null });
    created = true;
    if (options.pidFile !== "") writePid(options.pidFile, pid);
    const exitStatus = await startAndFollow(nouns, name, { io, terminal, detach: options.detach });
    if (exitStatus === null) return 0;
    created = false;
    await tasks.delete(container.id);
    io.close(false);
    return exitStatus;
  } catch (thrown) {
    if (created) await abandon(nouns, container.id);
    io.close(false);
    throw thrown;
  }
}

interface Following {
  io: ProcessIo;
  terminal: boolean;
  detach: boolean;
}

/** Starts a process and carries its streams to its end. Its exit code, or null at once when detached. The wait is asked
 *  for before the start, so that no exit is missed. */
async function startAndFollow(nouns: Nouns, name: ProcessName, how: Following): Promise<number | null> {
  const { tasks } = nouns;
  const ended = how.detach ? null : watched(tasks.wait(name));
  await tasks.start(name);
  if (ended === null) {
    how.io.close(true);
    return null;
  }
  how.io.onInputEnd(() => tasks.closeStdin(name));
  const { exitStatus } = await during(nouns, name, how.terminal, ended);
  await how.io.drained();
  return exitStatus;
}

/** A rejection is seen when it is waited for, not before. */
function watched<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

async function rootMounts(nouns: Nouns, { snapshotter, snapshotKey }: Container) {
  return snapshotKey === "" ? [] : nouns.snapshots(snapshotter).mounts(snapshotKey);
}

function writePid(path: string, pid: number): void {
  try {
    writeFileSync(path, String(pid));
  } catch (thrown) {
    throw systemFailure("open", path, thrown);
  }
}

/** A task that could not be started, or whose end could not be learnt, is not left behind. */
async function abandon(nouns: Nouns, containerId: string): Promise<void> {
  const name = { containerId, execId: "" };
  await nouns.tasks.kill(name, 9, true).catch(() => {});
  await nouns.tasks.delete(containerId).catch(() => {});
}

async function during(nouns: Nouns, name: ProcessName, terminal: boolean, ended: Promise<TaskExit>): Promise<TaskExit> {
  using _hold = terminal ? carrySize(nouns.tasks, name) : forwardSignals(nouns.tasks, name);
  return await ended;
}

/** Joins a running task's streams until it ends; it is then deleted. */
export async function attachTask(nouns: Nouns, id: string): Promise<number> {
  const { container, task } = await taskOf(nouns, id);
  const terminal = specOfContainer(container).process?.terminal === true;
  const name: ProcessName = { containerId: id, execId: "" };
  using _raw = terminal ? rawTerminal() : null;
  const io = ProcessIo.existing(task);
  try {
    io.attach();
    const ended = watched(nouns.tasks.wait(name));
    io.onInputEnd(() => nouns.tasks.closeStdin(name));
    const { exitStatus } = await during(nouns, name, terminal, ended);
    await io.drained();
    await nouns.tasks.delete(id);
    removeFifos([task.stdin, task.stdout, task.stderr]);
    return exitStatus;
  } finally {
    io.close(false);
  }
}

export interface ExecOptions extends Omit<IoRequest, "id" | "terminal" | "nullIo"> {
  readonly execId: string;
  readonly detach: boolean;
}

/** Runs a further process in a task. */
export async function execProcess(
  nouns: Nouns,
  containerId: string,
  process: Process,
  options: ExecOptions,
): Promise<number> {
  const { tasks } = nouns;
  checkExecId(options.execId);
  const terminal = process.terminal === true;
  const name: ProcessName = { containerId, execId: options.execId };
  using _raw = terminal && !options.detach ? rawTerminal() : null;
  const io = ProcessIo.make({ ...options, nullIo: false, id: options.execId, terminal });
  let added = false;
  try {
    using _held = options.detach ? io.hold() : null;
    if (!options.detach) io.attach();
    await tasks.exec({ ...io.io, ...name, spec: specValue(process, PROCESS_TYPE) });
    added = true;
    const exitStatus = await startAndFollow(nouns, name, { io, terminal, detach: options.detach });
    if (exitStatus === null) return 0;
    await tasks.deleteProcess(name);
    io.close(false);
    return exitStatus;
  } catch (thrown) {
    if (added) await tasks.deleteProcess(name).catch(() => {});
    io.close(false);
    throw thrown;
  }
}

const IDENTIFIER = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const ID_LIMIT = 76; // characters

/** Before it becomes part of a path here. */
function checkExecId(id: string): void {
  if (id.length <= ID_LIMIT && IDENTIFIER.test(id)) return;
  const reason =
    id.length > ID_LIMIT
      ? `identifier "${id}" greater than maximum length (${ID_LIMIT} characters)`
      : `identifier "${id}" must match ${IDENTIFIER.source}`;
  throw new Failure("invalid_argument", `invalid exec id ${id}: ${reason}: invalid argument`);
}

const DELETABLE: readonly TaskStatus[] = ["stopped", "unknown", "created"];

/** Of a stopped process, or after killing it when forced. */
export async function deleteProcess(nouns: Nouns, process: TaskProcess, execId: string, force: boolean) {
  const name = { containerId: process.containerId, execId };
  const { tasks } = nouns;
  if (force && process.status !== "stopped") {
    const ended = watched(tasks.wait(name));
    try {
      await tasks.kill(name, 9, true);
      await ended;
    } catch (thrown) {
      if (codeOf(thrown) !== "not_found" && codeOf(thrown) !== "failed_precondition") throw thrown;
    }
  } else if (!DELETABLE.includes(process.status)) {
    const [status, reason] = [process.status, "must be stopped before deletion"];
    const state = execId === "" ? `task ${reason}: ${status}` : `current process state: ${status}, process ${reason}`;
    throw new Failure("failed_precondition", `${state}: failed precondition`);
  }
  const exit = await (execId === "" ? tasks.delete(name.containerId) : tasks.deleteProcess(name));
  removeFifos([process.stdin, process.stdout, process.stderr]);
  return exit;
}
