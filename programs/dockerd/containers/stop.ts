// Stop, kill, restart, pause: what a person does to a running container. A stop sends the container's own signal,
// waits, and then kills; it holds no lock while it waits, because the exit needs it.

import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import { changeState, type Engine, saveRunning } from "../engine.ts";
import { notModified } from "../serve/engine/errors.ts";
import type { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { handleExit } from "./exit.ts";
import { parseSignal } from "./signals.ts";
import { startContainer } from "./start.ts";

const SIGKILL = 9;
const SIGTERM = 15;
/** Milliseconds a process has to end after SIGKILL, before containerd is asked what became of it. */
const KILL_WAIT_MS = 10_000;

export interface StopOptions {
  /** Null: the container's own. */
  signal: string | null;
  /** Seconds; null: the container's own; negative: for ever. */
  timeout: number | null;
}

export async function stopContainer(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  if (container.record.state.status === "restarting") return cancelRestart(engine, container);
  if (!container.running) throw notModified("container is already stopped");
  await bringDown(engine, container, options);
  emitContainer(engine, container, "stop");
}

/** Without the event, for restart and remove. */
export async function bringDown(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  const ended = container.wait("not-running");
  container.stopping = true;
  changeState(container, { manuallyStopped: true });
  const signal = parseSignal(options.signal || container.record.config.StopSignal || String(SIGTERM));
  const seconds = options.timeout ?? container.record.config.StopTimeout ?? engine.settings.defaultStopTimeout;
  try {
    await sendSignal(engine, container, signal);
    if (container.record.state.status === "paused") await engine.containerd.tasks.resume(container.id).catch(() => {});
    if (await within(ended.report, seconds < 0 ? null : seconds * 1000)) return;
    await killHard(engine, container, ended.report);
  } finally {
    ended.cancel();
  }
}

/** SIGKILL, and certainty: when no event comes, containerd is asked. */
async function killHard(engine: Engine, container: Container, ended: Promise<unknown>): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    await sendSignal(engine, container, SIGKILL);
    if (await within(ended, KILL_WAIT_MS)) return;
    await recheck(engine, container);
    if (!container.running) return;
  }
  throw new Failure(
    "internal",
    `cannot stop container: ${container.id}: tried to kill container, but did not receive an exit event`,
  );
}

/** Asks containerd what became of the process, for when an event was missed. */
export async function recheck(engine: Engine, container: Container): Promise<void> {
  const facts = await engine.containerd.tasks.get(container.id, "").catch((thrown) => {
    if (codeOf(thrown) === "not_found") return null;
    throw thrown;
  });
  if (facts === null) {
    await handleExit(engine, container, { pid: 0, exitCode: 137, exitedAt: new Date().toISOString() });
  } else if (facts.status === "stopped") {
    await handleExit(engine, container, { pid: 0, exitCode: facts.exitStatus, exitedAt: facts.exitedAt });
  }
}

async function sendSignal(engine: Engine, container: Container, signal: number): Promise<void> {
  try {
    await engine.containerd.tasks.kill({ id: container.id, execId: "", signal, all: false });
  } catch (thrown) {
    if (codeOf(thrown) === "not_found" || /process already finished|not found/.test(messageOf(thrown))) {
      await recheck(engine, container);
      return;
    }
    throw thrown;
  }
}

async function cancelRestart(engine: Engine, container: Container): Promise<void> {
  await container.exclusive(async () => {
    if (container.record.state.status !== "restarting") return;
    container.restartTimer?.[Symbol.dispose]();
    container.restartTimer = null;
    changeState(container, { status: "exited", manuallyStopped: true });
    await saveRunning(engine, container);
    container.wake(["not-running"]);
  });
  emitContainer(engine, container, "stop");
}

export async function killContainer(engine: Engine, container: Container, text: string): Promise<void> {
  const signal = text === "" ? SIGKILL : parseSignal(text);
  if (!container.running) {
    const { id } = container;
    throw new Failure("failed_precondition", `cannot kill container: ${id}: container ${id} is not running`);
  }
  const stops = signal === SIGKILL || signal === parseSignal(container.record.config.StopSignal || String(SIGTERM));
  // A person's kill is no crash: the policy does not start it again.
  if (stops) {
    changeState(container, { manuallyStopped: true });
  }
  const paused = container.record.state.status === "paused";
  await sendSignal(engine, container, signal);
  if (paused && signal === SIGKILL) await engine.containerd.tasks.resume(container.id).catch(() => {});
  emitContainer(engine, container, "kill", { signal: String(signal) });
  if (signal !== SIGKILL) return;
  const ended = container.wait("not-running");
  if (container.running && !(await within(ended.report, KILL_WAIT_MS))) await recheck(engine, container);
  ended.cancel();
}

export async function restartContainer(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  if (container.running) await bringDown(engine, container, options);
  else if (container.record.state.status === "restarting") await cancelRestart(engine, container);
  await startContainer(engine, container);
  emitContainer(engine, container, "restart");
}

export function pauseContainer(engine: Engine, container: Container): Promise<void> {
  return container.exclusive(async () => {
    const { status } = container.record.state;
    if (status === "paused") throw conflict(`container ${container.id} is already paused`);
    if (status !== "running") throw conflict(`container ${container.id} is not running`);
    await engine.containerd.tasks.pause(container.id);
    changeState(container, { status: "paused" });
    await saveRunning(engine, container);
    emitContainer(engine, container, "pause");
  });
}

export function unpauseContainer(engine: Engine, container: Container): Promise<void> {
  return container.exclusive(async () => {
    if (container.record.state.status !== "paused") {
      throw conflict(`Container ${container.id} is not paused`);
    }
    await engine.containerd.tasks.resume(container.id);
    changeState(container, { status: "running" });
    await saveRunning(engine, container);
    emitContainer(engine, container, "unpause");
  });
}

function conflict(message: string): Failure {
  return new Failure("failed_precondition", message);
}

/** Whether it resolved in time; null waits for ever. */
export async function within(promise: Promise<unknown>, milliseconds: number | null): Promise<boolean> {
  if (milliseconds === null) {
    await promise;
    return true;
  }
  let timer: NodeJS.Timeout | null = null;
  const limit = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  const done = await Promise.race([promise.then(() => true), limit]);
  if (timer !== null) clearTimeout(timer);
  return done;
}
