// GET /containers/{id}/stats: samples of the container's cgroup, once or each second.

import { encodeUtf8 } from "../../../../base/bytes.ts";
import type { Container } from "../../containers/container.ts";
import { type Sample, takeSample } from "../../containers/sample.ts";
import type { Engine } from "../../engine.ts";
import type { Exchange } from "./exchange.ts";
import type { Router } from "./router.ts";

/** Milliseconds between two samples. */
const INTERVAL_MS = 1000;

export function addStatsRoutes(router: Router, engine: Engine): void {
  router.add("GET /containers/{id}/stats", (exchange) => stats(engine, exchange));
}

async function stats(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const streaming = !exchange.has("stream") || exchange.flag("stream");
  const oneShot = exchange.flag("one-shot");
  if (!container.running) {
    if (!streaming) return exchange.json(200, empty(container));
  }
  if (!streaming) {
    let before: Sample | null = null;
    if (!oneShot) {
      before = await takeSample(engine, container);
      await engine.clock.sleep(INTERVAL_MS);
    }
    return exchange.json(200, render(container, await takeSample(engine, container), before));
  }
  await follow(engine, exchange, container);
}

async function follow(engine: Engine, exchange: Exchange, container: Container): Promise<void> {
  const writer = await exchange.open(200, "application/json");
  let gone = false;
  using _gone = exchange.responder.watchGone(() => {
    gone = true;
  });
  let before: Sample | null = null;
  while (!gone && engine.containers.has(container.id)) {
    const sample = container.running ? await takeSample(engine, container).catch(() => null) : null;
    const value = sample === null ? empty(container) : render(container, sample, before);
    before = sample;
    await writer.write(encodeUtf8(`${JSON.stringify(value)}\n`));
    await engine.clock.sleep(INTERVAL_MS);
  }
  if (!gone) await writer.end();
}

const ZERO = "0001-01-01T00:00:00Z";
const NO_CPU = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

function empty(container: Container): object {
  return {
    name: `/${container.record.name}`,
    id: container.id,
    read: ZERO,
    preread: ZERO,
    pids_stats: {},
    blkio_stats: {},
    num_procs: 0,
    storage_stats: {},
    cpu_stats: NO_CPU,
    precpu_stats: NO_CPU,
    memory_stats: {},
  };
}

function render(container: Container, now: Sample, before: Sample | null): object {
  return {
    name: `/${container.record.name}`,
    id: container.id,
    read: now.read,
    preread: before?.read ?? ZERO,
    pids_stats: now.pids,
    blkio_stats: now.blkio,
    num_procs: 0,
    storage_stats: {},
    cpu_stats: now.cpu,
    precpu_stats: before?.cpu ?? NO_CPU,
    memory_stats: now.memory,
    ...(now.networks === null ? {} : { networks: now.networks }),
  };
}
