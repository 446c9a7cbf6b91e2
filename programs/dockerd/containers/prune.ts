// POST /containers/prune: everything that does not run.

import type { PruneResponse } from "../../../api/engine/system.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../serve/engine/filters.ts";
import { parseMoment } from "../system/moment.ts";
import { sizesOf } from "./list.ts";
import { removeContainer } from "./remove.ts";

export async function pruneContainers(engine: Engine, filters: Filters): Promise<PruneResponse> {
  const until = untilOf(filters, engine.clock.now());
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const container of engine.containers.all()) {
    const { record } = container;
    if (container.running || record.state.status === "restarting" || container.removing) continue;
    if (until !== null && Date.parse(record.createdAt) > until) continue;
    const labels = record.config.Labels ?? {};
    if (!filters.labels(labels) || !filters.withoutLabels(labels)) continue;
    try {
      const { rw } = await sizesOf(engine, container);
      await removeContainer(engine, container, { force: false, volumes: false, locked: false });
      deleted.push(container.id);
      reclaimed += rw;
    } catch (thrown) {
      engine.log.warn(`pruning ${container.id}: ${messageOf(thrown)}`);
    }
  }
  return { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed };
}

/** Milliseconds since 1970; null without the filter. */
export function untilOf(filters: Filters, now: number): number | null {
  const texts = filters.get("until");
  if (texts.length === 0) return null;
  if (texts.length > 1) throw new Failure("invalid_argument", "more than one until filter specified");
  const moment = parseMoment(texts[0]!, now);
  return Number(moment / 1_000_000n);
}
