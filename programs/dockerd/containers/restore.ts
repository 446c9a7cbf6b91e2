// Finding everything again: at start from the rows, and after each connection to containerd from its tasks. A container
// that ended meanwhile has its true exit code there, because its task was not deleted; one whose task is gone died with
// the machine.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../../base/errors.ts";
import type { TaskProcess } from "../call/containerd/containerd.ts";
import { changeState, type Engine, ROWS, saveRunning } from "../engine.ts";
import { sweepFifoFolders } from "../output/fifos.ts";
import { Container } from "./container.ts";
import { endTask } from "./end-task.ts";
import { handleExecExit } from "./exec.ts";
import { handleExit, restartNow } from "./exit.ts";
import { startHealth } from "./health.ts";
import { watchRotation } from "./logging.ts";
import { ZERO_TIME } from "./record.ts";
import { sweep } from "./remove.ts";
import { logLeftovers, openFifoStreams, shimStreams } from "./start.ts";

/** Exit code of a container whose end nobody saw. */
const LOST = 255;

/** Rows into containers. One that cannot be taken is left out with a word in the log. */
export function loadContainers(engine: Engine): void {
  for (const record of engine.records.list(ROWS)) {
    if (record.state.status === "removing") continue;
    try {
      engine.containers.add(new Container(record));
    } catch (thrown) {
      engine.log.error(`container ${record.id} is left out: ${messageOf(thrown)}`);
    }
  }
}

/** After each connection: the truth about every container that should run. */
export async function reconcile(engine: Engine): Promise<void> {
  const tasks = new Map((await engine.containerd.tasks.list()).map((task) => [task.id, task]));
  const work: Promise<void>[] = [];
  for (const container of engine.containers.all()) {
    container.storedSpec = null;
    work.push(
      reconcileOne(engine, container, tasks.get(container.id) ?? null).catch((thrown) =>
        engine.log.error(`container ${container.id}: ${messageOf(thrown)}`),
      ),
    );
  }
  await Promise.all(work);
  sweepRemoved(engine, tasks);
}

async function reconcileOne(engine: Engine, container: Container, task: TaskProcess | null): Promise<void> {
  const { status, pid } = container.record.state;
  const runs = task !== null && (task.status === "running" || task.status === "paused" || task.status === "pausing");
  if (runs) return adopt(engine, container, task);
  const unseen = task !== null && endedUnseen(container, task);
  if (unseen) changeState(container, { status: "running", pid: task.pid, startedAt: task.exitedAt, everStarted: true });
  if (status === "running" || status === "paused" || unseen) {
    if (container.streams === null && container.record.output === "fifo") logLeftovers(engine, container);
    const facts =
      task !== null && task.status === "stopped"
        ? { pid: 0, exitCode: task.exitStatus, exitedAt: task.exitedAt || new Date().toISOString() }
        : { pid: 0, exitCode: LOST, exitedAt: new Date().toISOString() };
    if (task?.status === "created")
      await engine.containerd.tasks.kill({ id: container.id, execId: "", signal: 9, all: false });
    await handleExit(engine, container, facts);
    return;
  }
  // A task without a running row: a start that was cut short, or an end whose deletion was.
  if (task !== null && pid === 0) await engine.containerd.tasks.delete(container.id).catch(() => {});
}

/** It was started and ended, but dockerd died before the row said even that it runs. */
function endedUnseen({ record }: Container, task: TaskProcess): boolean {
  if (task.status !== "stopped") return false;
  const { status, finishedAt } = record.state;
  if (status === "created") return true;
  return status === "exited" && Date.parse(finishedAt) < Date.parse(task.exitedAt);
}

/** It runs, whatever the row says: its process counts. */
async function adopt(engine: Engine, container: Container, task: TaskProcess): Promise<void> {
  const { state } = container.record;
  if (container.streams === null) reopenStreams(engine, container);
  const status = task.status === "running" ? "running" : "paused";
  if (state.status !== status || state.pid !== task.pid) {
    const startedAt = state.startedAt === ZERO_TIME ? new Date().toISOString() : state.startedAt;
    changeState(container, { status, pid: task.pid, startedAt, everStarted: true });
    await saveRunning(engine, container);
  }
  if (container.health === null) startHealth(engine, container);
  for (const execId of container.execs) await recheckExec(engine, execId);
}

async function recheckExec(engine: Engine, execId: string): Promise<void> {
  const exec = engine.execs.get(execId);
  if (exec === null || exec.state !== "running") return;
  const facts = await engine.containerd.tasks.get(exec.container.id, execId).catch(() => null);
  if (facts !== null && facts.status !== "stopped") return;
  await handleExecExit(engine, exec, facts?.exitStatus ?? LOST);
}

function reopenStreams(engine: Engine, container: Container): void {
  if (container.record.output === "shim") {
    const streams = shimStreams(engine, container);
    streams.hold();
    container.streams = streams;
  } else container.streams = openFifoStreams(engine, container);
  watchRotation(engine, container);
}

/** What a start of the daemon does once everything is known: policies, half-done removals, folders without a row. */
export async function afterStart(engine: Engine): Promise<void> {
  for (const container of engine.containers.all()) {
    const { status, manuallyStopped, exitCode } = container.record.state;
    const { AutoRemove, RestartPolicy } = container.record.hostConfig;
    if (status !== "exited" && status !== "restarting") continue;
    const policy = RestartPolicy?.Name ?? "no";
    const again =
      policy === "always" ||
      (policy === "unless-stopped" && !manuallyStopped) ||
      (policy === "on-failure" && exitCode !== 0 && !manuallyStopped) ||
      status === "restarting";
    if (again) engine.background(`restarting ${container.id}`, restartNow(engine, container));
    else if (AutoRemove === true && status === "exited") {
      const { removeContainer } = await import("./remove.ts");
      engine.background(
        `removing ${container.id}`,
        removeContainer(engine, container, { force: true, volumes: true, locked: false }),
      );
    }
  }
  sweepFolders(engine);
  engine.background("releasing networks", releaseUnused(engine));
}

/** Endpoints that a start made before the daemon was killed in the middle of it. */
async function releaseUnused(engine: Engine): Promise<void> {
  const folder = join(engine.settings.execRoot, "net/netns");
  if (!existsSync(folder)) return;
  for (const id of readdirSync(folder)) {
    const container = engine.containers.get(id);
    if (container === null) await engine.networks.detach(id);
    else {
      // A client may start it just now.
      await container.exclusive(async () => {
        if (!container.running && container.record.endpoint === null) await engine.networks.detach(id);
      });
    }
  }
}

/** What a removal left because the daemon or containerd went away in the middle of it. */
function sweepRemoved(engine: Engine, tasks: ReadonlyMap<string, TaskProcess>): void {
  for (const { id, state } of engine.records.list(ROWS)) {
    if (state.status !== "removing" || engine.containers.has(id)) continue;
    const ending = tasks.has(id) ? endTask(engine, id) : Promise.resolve();
    engine.background(
      `sweeping ${id}`,
      ending.then(() => sweep(engine, id)),
    );
  }
}

/** Folders of containers whose row is gone. Those of rows that could not be read are kept: they may be wanted. */
function sweepFolders(engine: Engine): void {
  const folder = join(engine.settings.dataRoot, "containers");
  if (!existsSync(folder)) return;
  const known = new Set(engine.records.keys(ROWS));
  for (const name of readdirSync(folder)) {
    if (!/^[0-9a-f]{64}$/.test(name) || known.has(name)) continue;
    if ([`${name}-json.log`, "local-logs"].some((log) => existsSync(join(folder, name, log)))) {
      engine.log.warn(`${join(folder, name)} belongs to no container and is kept, because it holds a log`);
      continue;
    }
    rmSync(join(folder, name), { recursive: true, force: true });
  }
  sweepFifoFolders(
    join(engine.settings.execRoot, "containerd"),
    (name) => !/^[0-9a-f]{64}$/.test(name) || known.has(name),
  );
}
