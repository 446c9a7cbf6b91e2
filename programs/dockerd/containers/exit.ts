// The end of a container's process: told by containerd's event, or found when dockerd or containerd came back. Output
// is drained, the task deleted, the network given back, and then the policy decides what comes next.

import { codeOf, messageOf } from "../../../base/errors.ts";
import { changeState, type Engine, saveRunning } from "../engine.ts";
import type { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { stopHealth } from "./health.ts";
import { isRunning } from "./record.ts";
import { removeContainer } from "./remove.ts";
import { runContainer } from "./start.ts";

/** Milliseconds that output may lag behind the end of the process before it is given up. */
const DRAIN_LIMIT_MS = 30_000;
/** Restart delays in milliseconds: the first, the longest, and the run after which it begins anew. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
const LONG_RUN_MS = 10_000;

export interface ExitFacts {
  pid: number;
  exitCode: number;
  /** RFC 3339 */
  exitedAt: string;
}

/** Takes the container's lock. An exit of another run (by pid) is ignored. */
export function handleExit(engine: Engine, container: Container, facts: ExitFacts): Promise<void> {
  return container.exclusive(async () => {
    const { state } = container.record;
    if (state.status !== "running" && state.status !== "paused") return;
    if (facts.pid !== 0 && state.pid !== 0 && facts.pid !== state.pid) return;
    await finishRun(engine, container, facts);
  });
}

async function finishRun(engine: Engine, container: Container, facts: ExitFacts): Promise<void> {
  const { id } = container;
  stopHealth(container);
  if (container.streams !== null) {
    await container.streams.drained(DRAIN_LIMIT_MS);
    container.streams.close();
    container.streams = null;
  }
  container.compressor?.unwatch();
  const again = restartDelay(engine, container, facts);
  changeState(container, {
    status: again === null ? "exited" : "restarting",
    pid: 0,
    exitCode: facts.exitCode,
    finishedAt: facts.exitedAt,
    restartCount: container.record.state.restartCount + (again === null ? 0 : 1),
  });
  container.stopping = false;
  const attached = container.record.endpoint !== null;
  container.record = { ...container.record, endpoint: null };
  const { record } = container;
  const removesItself = record.hostConfig.AutoRemove === true;
  const saving = saveRunning(engine, container);
  // The exit code must be in the row before the task, which has it as well, is gone.
  if (removesItself) engine.background(`saving ${id}`, saving);
  else await saving;
  const deleting = engine.containerd.tasks.delete(id).catch((thrown) => {
    if (codeOf(thrown) !== "not_found") engine.log.warn(`deleting the task of ${id}: ${messageOf(thrown)}`);
  });
  const releasing = (attached ? engine.networks.detach(id) : Promise.resolve()).catch((thrown) =>
    engine.log.warn(`releasing the network of ${id}: ${messageOf(thrown)}`),
  );
  await Promise.all([deleting, releasing]);
  emitContainer(engine, container, "die", {
    exitCode: String(facts.exitCode),
    execDuration: String(
      Math.max(0, Math.round((Date.parse(facts.exitedAt) - Date.parse(record.state.startedAt)) / 1000)),
    ),
  });
  container.wake(again === null ? ["next-exit", "not-running"] : ["next-exit"]);
  if (again !== null) scheduleRestart(engine, container, again);
  else if (removesItself && !engine.stopping) {
    engine.background(
      `removing ${id}`,
      removeContainer(engine, container, { force: true, volumes: true, locked: false }),
    );
  }
}

/** Milliseconds until the next start; null when there is none. */
function restartDelay(engine: Engine, container: Container, facts: ExitFacts): number | null {
  const { hostConfig, state } = container.record;
  if (engine.stopping || container.stopping || container.removing || state.manuallyStopped) return null;
  const policy = hostConfig.RestartPolicy?.Name ?? "no";
  const limit = hostConfig.RestartPolicy?.MaximumRetryCount ?? 0;
  if (policy === "no" || (policy as string) === "") return null;
  if (policy === "on-failure") {
    if (facts.exitCode === 0) return null;
    if (limit > 0 && state.restartCount >= limit) return null;
  }
  const ran = Date.parse(facts.exitedAt) - Date.parse(state.startedAt);
  if (container.restartDelay === 0 || ran >= LONG_RUN_MS) container.restartDelay = FIRST_DELAY_MS;
  else container.restartDelay = Math.min(container.restartDelay * 2, LONGEST_DELAY_MS);
  return container.restartDelay;
}

function scheduleRestart(engine: Engine, container: Container, delay: number): void {
  container.restartTimer = engine.clock.timer(delay, () => {
    container.restartTimer = null;
    engine.background(`restarting ${container.id}`, restartNow(engine, container));
  });
}

/** Also called at start-up for containers whose policy asks for it. */
export async function restartNow(engine: Engine, container: Container): Promise<void> {
  await container.exclusive(async () => {
    const { status } = container.record.state;
    if (status === "running" || status === "paused" || container.removing || engine.stopping) return;
    await runContainer(engine, container).catch((thrown) => {
      engine.log.error(`restarting ${container.id}: ${messageOf(thrown)}`);
      if (isRunning(container.record.state)) return;
      const policy = container.record.hostConfig.RestartPolicy?.Name ?? "no";
      if (policy !== "always" && policy !== "unless-stopped") return;
      container.restartDelay = Math.min(Math.max(FIRST_DELAY_MS, container.restartDelay * 2), LONGEST_DELAY_MS);
      changeState(container, { status: "restarting" });
      scheduleRestart(engine, container, container.restartDelay);
    });
  });
}
