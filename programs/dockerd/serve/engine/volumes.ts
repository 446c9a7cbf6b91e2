// Routes of volumes.

import { randomBytes } from "node:crypto";
import type { VolumeCreateRequest } from "../../../../api/engine/system.ts";
import { Failure, messageOf } from "../../../../base/errors.ts";
import type { Engine } from "../../engine.ts";
import { sizeBelow } from "../../system/df.ts";
import { wireVolume } from "../../volumes/wire.ts";
import type { Exchange } from "./exchange.ts";
import { Filters } from "./filters.ts";
import type { Router } from "./router.ts";

export function addVolumeRoutes(router: Router, engine: Engine): void {
  router.add("GET /volumes", (exchange) => list(engine, exchange));
  router.add("GET /volumes/{name}", (exchange) =>
    exchange.json(200, wireVolume(engine.volumes.find(exchange.param("name")))),
  );
  router.add("POST /volumes/create", async (exchange) => {
    const body = await exchange.body<VolumeCreateRequest>({ optional: true });
    const request = { driver: body.Driver ?? "", options: body.DriverOpts ?? {}, labels: body.Labels ?? {} };
    // A name of its own is made here, so that the volume is not taken for one that goes with its container.
    const name = body.Name || randomBytes(32).toString("hex");
    if (typeof name !== "string") throw new Failure("invalid_argument", "invalid JSON: Name must be a string");
    await exchange.json(201, wireVolume(await engine.volumes.createFor(name, request)));
  });
  router.add("POST /volumes/prune", (exchange) => prune(engine, exchange));
  router.add("DELETE /volumes/{name}", async (exchange) => {
    await engine.volumes.remove(exchange.param("name"), exchange.flag("force"));
    await exchange.empty(204);
  });
}

async function list(engine: Engine, exchange: Exchange): Promise<void> {
  const filters = Filters.parse(exchange.text("filters"), ["dangling", "driver", "label", "name"]);
  const dangling = filters.flag("dangling");
  const chosen = engine.volumes.list().filter((volume) => {
    if (dangling !== null && dangling !== (engine.volumes.users(volume.name).length === 0)) return false;
    return (
      filters.exact("driver", "local") &&
      filters.labels(volume.labels) &&
      filters.some("name", (name) => volume.name.includes(name))
    );
  });
  await exchange.json(200, { Volumes: chosen.map(wireVolume), Warnings: null });
}

/** Anonymous ones only, unless all=true. */
async function prune(engine: Engine, exchange: Exchange): Promise<void> {
  const filters = Filters.parse(exchange.text("filters"), ["label", "label!", "all"]);
  const all = filters.flag("all") === true || !exchange.since("1.42");
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const volume of engine.volumes.list()) {
    if (engine.volumes.users(volume.name).length > 0) continue;
    if (!all && !volume.anonymous) continue;
    if (!filters.labels(volume.labels) || !filters.withoutLabels(volume.labels)) continue;
    const size = sizeBelow(volume.mountpoint);
    try {
      await engine.volumes.remove(volume.name, false);
      deleted.push(volume.name);
      reclaimed += size;
    } catch (thrown) {
      engine.log.warn(`pruning volume ${volume.name}: ${messageOf(thrown)}`);
    }
  }
  await exchange.json(200, { VolumesDeleted: deleted, SpaceReclaimed: reclaimed });
}
