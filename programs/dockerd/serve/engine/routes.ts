// All routes of the Engine API, put together.

import type { Daemon } from "../../daemon.ts";
import type { Engine } from "../../engine.ts";
import { addContainerRoutes } from "./containers.ts";
import { addFileRoutes } from "./files.ts";
import { addImageRoutes } from "./images.ts";
import { addNetworkRoutes } from "./networks.ts";
import { Router } from "./router.ts";
import { addStatsRoutes } from "./stats.ts";
import { addStreamRoutes } from "./streams.ts";
import { addSystemRoutes } from "./system.ts";
import { addVolumeRoutes } from "./volumes.ts";

export function buildRouter(engine: Engine, daemon: Daemon): Router {
  const router = new Router();
  addSystemRoutes(router, engine, daemon);
  addContainerRoutes(router, engine);
  addStreamRoutes(router, engine);
  addStatsRoutes(router, engine);
  addFileRoutes(router, engine);
  addImageRoutes(router, engine);
  addVolumeRoutes(router, engine);
  addNetworkRoutes(router, engine);
  return router;
}
