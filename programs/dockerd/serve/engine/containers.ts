// Routes of containers: thin, because the work is done in containers/.

import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import { checkRestart } from "../../containers/body.ts";
import type { CreateBody, HostConfig } from "../../containers/config.ts";
import type { WaitCondition } from "../../containers/container.ts";
import { createContainer } from "../../containers/create.ts";
import { inspectContainer } from "../../containers/inspect.ts";
import { LIST_FILTERS, listContainers, sizesOf } from "../../containers/list.ts";
import { pruneContainers } from "../../containers/prune.ts";
import { removeContainer } from "../../containers/remove.ts";
import { renameContainer } from "../../containers/rename.ts";
import { startContainer } from "../../containers/start.ts";
import {
  killContainer,
  pauseContainer,
  restartContainer,
  stopContainer,
  unpauseContainer,
} from "../../containers/stop.ts";
import { topContainer } from "../../containers/top.ts";
import { updateContainer } from "../../containers/update.ts";
import type { Engine } from "../../engine.ts";
import type { Exchange } from "./exchange.ts";
import { Filters } from "./filters.ts";
import type { Router } from "./router.ts";

export function addContainerRoutes(router: Router, engine: Engine): void {
  const find = (exchange: Exchange) => engine.containers.find(exchange.param("id"));
  router.add("GET /containers/json", (exchange) => list(engine, exchange));
  router.add("POST /containers/create", (exchange) => create(engine, exchange));
  router.add("POST /containers/prune", async (exchange) => {
    const filters = Filters.parse(exchange.text("filters"), ["label", "label!", "until"]);
    await exchange.json(200, await pruneContainers(engine, filters));
  });
  router.add("GET /containers/{id}/json", async (exchange) => {
    const container = find(exchange);
    const sizes = exchange.flag("size") ? await sizesOf(engine, container) : null;
    await exchange.json(200, inspectContainer(engine, container, sizes));
  });
  router.add("POST /containers/{id}/start", async (exchange) => {
    await refuseBody(exchange);
    if (exchange.text("checkpoint") !== "") {
      throw new Failure("invalid_argument", "checkpoint is only supported in experimental mode");
    }
    await startContainer(engine, find(exchange));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/stop", async (exchange) => {
    await stopContainer(engine, find(exchange), stopOptions(exchange));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/restart", async (exchange) => {
    await restartContainer(engine, find(exchange), stopOptions(exchange));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/kill", async (exchange) => {
    await killContainer(engine, find(exchange), exchange.text("signal"));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/pause", async (exchange) => {
    await pauseContainer(engine, find(exchange));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/unpause", async (exchange) => {
    await unpauseContainer(engine, find(exchange));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/rename", async (exchange) => {
    await renameContainer(engine, find(exchange), exchange.text("name"));
    await exchange.empty(204);
  });
  router.add("POST /containers/{id}/update", async (exchange) => {
    const body = await exchange.body<HostConfig>();
    checkRestart({ ...body, AutoRemove: find(exchange).record.hostConfig.AutoRemove === true });
    await updateContainer(engine, find(exchange), body);
    await exchange.json(200, { Warnings: [] });
  });
  router.add("POST /containers/{id}/resize", async (exchange) => {
    const container = find(exchange);
    if (!container.running) throw new Failure("failed_precondition", `container ${container.id} is not running`);
    await engine.containerd.tasks.resize(container.id, "", sizeOf(exchange));
    await exchange.empty(200);
  });
  router.add("POST /containers/{id}/wait", (exchange) => wait(engine, exchange));
  router.add("GET /containers/{id}/top", async (exchange) => {
    await exchange.json(200, await topContainer(engine, find(exchange), exchange.text("ps_args")));
  });
  router.add("DELETE /containers/{id}", async (exchange) => {
    if (exchange.flag("link")) throw new Failure("unimplemented", "links between containers are not supported yet");
    const [force, volumes] = [exchange.flag("force"), exchange.flag("v")];
    await removeContainer(engine, find(exchange), { force, volumes, locked: false });
    await exchange.empty(204);
  });
}

export function sizeOf(exchange: Exchange): { width: number; height: number } {
  const [width, height] = [exchange.integer("w") ?? 0, exchange.integer("h") ?? 0];
  if (width < 0 || height < 0 || width > 65535 || height > 65535) {
    throw new Failure("invalid_argument", "invalid terminal size");
  }
  return { width, height };
}

async function refuseBody(exchange: Exchange): Promise<void> {
  const piece = await exchange.request.body.read();
  // A JSON null or {} has always been let through.
  if (piece === null || /^\s*(null|\{\s*\})?\s*$/.test(new TextDecoder().decode(piece))) return;
  throw new Failure(
    "invalid_argument",
    "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
  );
}

function stopOptions(exchange: Exchange): { signal: string | null; timeout: number | null } {
  const signal = exchange.text("signal");
  return { signal: signal === "" ? null : signal, timeout: exchange.integer("t") };
}

async function list(engine: Engine, exchange: Exchange): Promise<void> {
  const filters = Filters.parse(exchange.text("filters"), LIST_FILTERS);
  const [all, limit, size] = [exchange.flag("all"), exchange.integer("limit"), exchange.flag("size")];
  await exchange.json(200, await listContainers(engine, { all, limit, size, filters }));
}

async function create(engine: Engine, exchange: Exchange): Promise<void> {
  const body = await exchange.body<CreateBody>();
  const platform = exchange.text("platform");
  if (platform !== "" && !/^linux(\/(amd64|x86_64)(\/.*)?)?$/.test(platform)) {
    throw new Failure("not_found", `no match for platform in manifest: not found (${platform})`);
  }
  if ((body.Image ?? "") === "")
    throw new Failure("invalid_argument", "config cannot be empty in order to create a container");
  const { id, warnings } = await createContainer(engine, body, exchange.text("name"));
  await exchange.json(201, { Id: id, Warnings: warnings });
}

const CONDITIONS: Readonly<Record<string, WaitCondition>> = {
  "": "not-running",
  "not-running": "not-running",
  "next-exit": "next-exit",
  removed: "removed",
};

/** The head leaves at once: the client holds its start back until it has it. */
async function wait(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const condition = CONDITIONS[exchange.text("condition")];
  if (condition === undefined) {
    throw new Failure("invalid_argument", `invalid condition: "${exchange.text("condition")}"`);
  }
  while ((await exchange.request.body.read()) !== null);
  const { status, exitCode, error } = container.record.state;
  const already = condition === "not-running" && !container.running && status !== "restarting";
  const waiting = already ? null : container.wait(condition);
  const writer = await exchange.open(200, "application/json");
  using _gone = exchange.responder.watchGone(() => waiting?.cancel());
  const report = waiting === null ? { exitCode, error } : await waiting.report;
  const answer = {
    StatusCode: report.exitCode,
    ...(report.error === "" ? {} : { Error: { Message: report.error } }),
  };
  await writer.write(encodeUtf8(`${JSON.stringify(answer)}\n`));
  await writer.end();
}
