// POST /containers/{id}/update: limits and restart policy of a container that may be running.

import { Failure, messageOf } from "../../../base/errors.ts";
import { checkResources, ociResources } from "../../../core/spec/resources.ts";
import { type Engine, ROWS } from "../engine.ts";
import type { HostConfig } from "./config.ts";
import type { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { durabilityOf } from "./record.ts";

const FIELDS = [
  "BlkioWeight",
  "CpuShares",
  "CpuPeriod",
  "CpuQuota",
  "CpuRealtimePeriod",
  "CpuRealtimeRuntime",
  "CpusetCpus",
  "CpusetMems",
  "Memory",
  "MemoryReservation",
  "MemorySwap",
  "NanoCpus",
  "PidsLimit",
] as const;

export function updateContainer(engine: Engine, container: Container, body: HostConfig): Promise<void> {
  return container.exclusive(async () => {
    if (container.removing) {
      throw new Failure("failed_precondition", 'container is marked for removal and cannot be "update"');
    }
    const changes: HostConfig = {};
    for (const field of FIELDS) {
      const value = body[field];
      if (value !== undefined && value !== null && value !== 0 && value !== "")
        Object.assign(changes, { [field]: value });
    }
    const limits = Object.keys(changes).length > 0;
    const { record } = container;
    const next: HostConfig = { ...record.hostConfig, ...changes };
    if ((changes.Memory ?? 0) > 0 && changes.MemorySwap === undefined && (record.hostConfig.MemorySwap ?? 0) > 0) {
      if (next.Memory! > record.hostConfig.MemorySwap!) {
        throw new Failure(
          "invalid_argument",
          "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
      }
    }
    checkResources(next);
    if (body.RestartPolicy?.Name) next.RestartPolicy = body.RestartPolicy;
    if (limits && container.running) await applyNow(engine, container, next);
    container.record = { ...record, hostConfig: next };
    await engine.database.change(durabilityOf(record), (change) => {
      change.put(engine.records, [ROWS, container.id], container.record);
    });
    emitContainer(engine, container, "update");
  });
}

async function applyNow(engine: Engine, container: Container, limits: HostConfig): Promise<void> {
  try {
    await engine.containerd.tasks.update(container.id, ociResources(limits, null, engine.host.swapLimit));
  } catch (thrown) {
    throw new Failure("unknown", `Cannot update container ${container.id}: ${messageOf(thrown)}`, { cause: thrown });
  }
}
