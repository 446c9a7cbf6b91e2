// Health checks: a probe runs in the container now and then, and its results say "starting", "healthy" or "unhealthy".
// Probes go on while the container runs and pause with it. Five results are kept.

import { messageOf } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { HealthConfig } from "./config.ts";
import type { Attachment, Container, HealthResult } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { createExec, startExec } from "./exec.ts";
import { nowText } from "./record.ts";
import { within } from "./stop.ts";

const NANOSECONDS = 1e6; // in a millisecond
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5_000;
const DEFAULT_RETRIES = 3;
/** Bytes of a probe's output that are kept, and results. */
const MAX_OUTPUT_BYTES = 4096;
const MAX_RESULTS = 5;
const SIGKILL = 9;

interface Plan {
  command: string[];
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export function startHealth(engine: Engine, container: Container): void {
  const plan = planOf(container);
  if (plan === null) {
    container.health = null;
    return;
  }
  container.health = { Status: "starting", FailingStreak: 0, Log: [] };
  schedule(engine, container, { plan, startedAt: Date.now() });
}

export function stopHealth(container: Container): void {
  container.healthTimer?.[Symbol.dispose]();
  container.healthTimer = null;
  if (container.health !== null && container.health.Status === "healthy") container.health.Status = "unhealthy";
}

function planOf(container: Container): Plan | null {
  const config: HealthConfig | undefined = container.record.config.Healthcheck;
  const test = config?.Test ?? [];
  if (config === undefined || test.length < 2 || test[0] === "NONE") return null;
  const shell = container.record.config.Shell ?? ["/bin/sh", "-c"];
  const command = test[0] === "CMD-SHELL" ? [...shell, test[1]!] : test.slice(1);
  const time = (value: number | undefined, fallback: number) => (value ? value / NANOSECONDS : fallback);
  return {
    command,
    interval: time(config.Interval, DEFAULT_INTERVAL_MS),
    timeout: time(config.Timeout, DEFAULT_TIMEOUT_MS),
    startPeriod: time(config.StartPeriod, 0),
    startInterval: time(config.StartInterval, DEFAULT_START_INTERVAL_MS),
    retries: config.Retries || DEFAULT_RETRIES,
  };
}

interface Watch {
  plan: Plan;
  startedAt: number;
}

function inStartPeriod(container: Container, { plan, startedAt }: Watch): boolean {
  return container.health?.Status === "starting" && Date.now() - startedAt < plan.startPeriod;
}

function schedule(engine: Engine, container: Container, watch: Watch): void {
  const delay = inStartPeriod(container, watch) ? watch.plan.startInterval : watch.plan.interval;
  container.healthTimer = engine.clock.timer(delay, () => {
    engine.background(`probing ${container.id}`, probeAndGoOn(engine, container, watch));
  });
}

async function probeAndGoOn(engine: Engine, container: Container, watch: Watch): Promise<void> {
  if (!container.running) return;
  if (container.record.state.status === "running") {
    const lenient = inStartPeriod(container, watch);
    const result = await probe(engine, container, watch.plan);
    if (!container.running || container.health === null) return;
    take(engine, container, { result, lenient, retries: watch.plan.retries });
  }
  if (container.running && !engine.stopping) schedule(engine, container, watch);
}

async function probe(engine: Engine, container: Container, plan: Plan): Promise<HealthResult> {
  const begun = nowText();
  const output = new Collector();
  try {
    const exec = createExec(engine, container, { Cmd: plan.command, AttachStdout: true, AttachStderr: true });
    await startExec(engine, exec, output);
    if (!(await within(exec.ended, plan.timeout))) {
      const kill = { id: container.id, execId: exec.id, signal: SIGKILL, all: true };
      await engine.containerd.tasks.kill(kill).catch(() => {});
      const text = `Health check exceeded timeout (${formatDuration(plan.timeout)})`;
      return { Start: begun, End: nowText(), ExitCode: -1, Output: text };
    }
    return { Start: begun, End: nowText(), ExitCode: exec.exitCode ?? -1, Output: output.text() };
  } catch (thrown) {
    return { Start: begun, End: nowText(), ExitCode: -1, Output: messageOf(thrown) };
  }
}

function take(
  engine: Engine,
  container: Container,
  of: { result: HealthResult; lenient: boolean; retries: number },
): void {
  const health = container.health!;
  const before = health.Status;
  health.Log = [...health.Log, of.result].slice(-MAX_RESULTS);
  if (of.result.ExitCode === 0) {
    health.FailingStreak = 0;
    health.Status = "healthy";
  } else if (!of.lenient) {
    health.FailingStreak++;
    if (health.FailingStreak >= of.retries) health.Status = "unhealthy";
  }
  if (before !== health.Status) emitContainer(engine, container, `health_status: ${health.Status}`);
}

function formatDuration(milliseconds: number): string {
  return milliseconds % 1000 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`;
}

class Collector implements Attachment {
  readonly stdout = true;
  readonly stderr = true;
  readonly stdin = false;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  async connect(streams: Parameters<Attachment["connect"]>[0]): Promise<void> {
    await streams.subscribe(this, {
      take: (_type, bytes) => {
        const room = MAX_OUTPUT_BYTES - this.#length;
        if (room > 0) this.#pieces.push(bytes.slice(0, room));
        this.#length += Math.min(Math.max(room, 0), bytes.length);
        return null;
      },
      ended: () => {},
    });
  }

  abandon(): void {}

  text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#pieces));
  }
}
