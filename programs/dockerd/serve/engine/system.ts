// Routes of the engine itself: ping, version, info, events, disk usage, auth.

import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import { formatJson } from "../../../../base/json.ts";
import type { Daemon } from "../../daemon.ts";
import type { Engine } from "../../engine.ts";
import { diskUsage } from "../../system/df.ts";
import type { EngineEvent } from "../../system/events.ts";
import { engineInfo, engineVersion } from "../../system/info.ts";
import { parseMoment } from "../../system/moment.ts";
import type { Exchange } from "./exchange.ts";
import { Filters } from "./filters.ts";
import type { Router } from "./router.ts";

const PING_HEADERS = [
  ["Builder-Version", "1"],
  ["Swarm", "inactive"],
  ["Cache-Control", "no-cache, no-store, must-revalidate"],
  ["Pragma", "no-cache"],
] as const;

export function addSystemRoutes(router: Router, engine: Engine, daemon: Daemon): void {
  router.add("GET /_ping", (exchange) => exchange.plain(200, "OK", PING_HEADERS));
  router.add("HEAD /_ping", (exchange) => exchange.plain(200, "", PING_HEADERS));
  router.add("GET /version", async (exchange) => exchange.json(200, await engineVersion(engine)));
  router.add("GET /info", async (exchange) => exchange.json(200, await engineInfo(engine, daemon)));
  router.add("GET /events", (exchange) => events(engine, exchange));
  router.add("GET /system/df", async (exchange) => exchange.json(200, await diskUsage(engine, exchange.texts("type"))));
  router.add("POST /auth", async (exchange) => {
    await exchange.body<object>({ optional: true });
    throw new Failure("unimplemented", "logging in to a registry is not supported yet");
  });
  router.add("OPTIONS /{path*}", (exchange) => exchange.empty(200));
  for (const path of ["swarm", "nodes", "services", "tasks", "secrets", "configs"]) {
    router.add(`GET /${path}`, async () => {
      throw new Failure(
        "unavailable",
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node ' +
          "to swarm and try again.",
      );
    });
  }
  router.add("GET /plugins", (exchange) => exchange.json(200, []));
}

const EVENT_FILTERS = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume",
];

async function events(engine: Engine, exchange: Exchange): Promise<void> {
  const filters = Filters.parse(exchange.text("filters"), EVENT_FILTERS);
  const now = engine.clock.now();
  const moment = (name: string) => (exchange.text(name) === "" ? null : parseMoment(exchange.text(name), now));
  const [since, until] = [moment("since"), moment("until")];
  if (since !== null && until !== null && since > until) {
    throw new Failure("invalid_argument", "`since` time cannot be after `until` time");
  }
  using listener = engine.events.listen();
  const past = since === null ? [] : engine.events.past(since, until);
  const writer = await exchange.open(200, "application/json");
  using _gone = exchange.responder.watchGone(() => listener.close());
  const left = until === null ? null : Number(until / 1_000_000n) - now;
  using _limit = left === null ? null : engine.clock.timer(Math.max(0, left), () => listener.close());
  const send = (event: EngineEvent) => writer.write(encodeUtf8(`${formatJson(wireEvent(event))}\n`));
  for (const event of past) if (wanted(event, filters)) await send(event);
  if (left === null || left > 0) {
    for (let event = await listener.next(); event !== null; event = await listener.next()) {
      if (wanted(event, filters)) await send(event);
    }
  }
  await writer.end();
}

/** With the three fields that clients before 1.52 read. */
function wireEvent(event: EngineEvent): object {
  if (event.Type !== "container" && event.Type !== "image") return event;
  const { image } = event.Actor.Attributes;
  const from = event.Type === "container" && image !== undefined ? { from: image } : {};
  return { status: event.Action, id: event.Actor.ID, ...from, ...event };
}

function wanted(event: EngineEvent, filters: Filters): boolean {
  const { ID, Attributes } = event.Actor;
  const names = (id: string) => ID === id || ID.startsWith(id) || Attributes["name"] === id;
  const action = (want: string) => event.Action === want || event.Action.startsWith(`${want}:`);
  return (
    filters.exact("type", event.Type) &&
    filters.exact("scope", event.scope) &&
    filters.some("event", action) &&
    filters.labels(Attributes) &&
    (!filters.has("container") || (event.Type === "container" && filters.some("container", names))) &&
    (!filters.has("volume") || (event.Type === "volume" && filters.some("volume", names))) &&
    (!filters.has("network") || (event.Type === "network" && filters.some("network", names))) &&
    (!filters.has("image") ||
      filters.some("image", (want) => (event.Type === "image" ? names(want) : Attributes["image"] === want)))
  );
}
