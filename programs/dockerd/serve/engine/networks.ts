// Routes of networks: the three that every engine has. Making others is later work and says so.

import type { NetworkInspect } from "../../../../api/engine/system.ts";
import { Failure } from "../../../../base/errors.ts";
import type { Engine } from "../../engine.ts";
import type { NetworkFacts } from "../../networks/networks.ts";
import type { Exchange } from "./exchange.ts";
import { Filters } from "./filters.ts";
import type { Router } from "./router.ts";

export function addNetworkRoutes(router: Router, engine: Engine): void {
  const list = (exchange: Exchange) => listNetworks(engine, exchange);
  router.add("GET /networks", list);
  router.add("GET /networks/", list);
  router.add("GET /networks/{id}", (exchange) =>
    exchange.json(200, wireNetwork(engine, engine.networks.find(exchange.param("id")), true)),
  );
  router.add("POST /networks/create", () => later("creating networks"));
  router.add("POST /networks/prune", (exchange) => exchange.json(200, { NetworksDeleted: null }));
  router.add("POST /networks/{id}/connect", () => later("connecting containers to further networks"));
  router.add("POST /networks/{id}/disconnect", () => later("disconnecting containers from networks"));
  router.add("DELETE /networks/{id}", async (exchange) => {
    const { name } = engine.networks.find(exchange.param("id"));
    throw new Failure("permission_denied", `${name} is a pre-defined network and cannot be removed`);
  });
}

async function later(what: string): Promise<never> {
  throw new Failure("unimplemented", `${what} is not supported yet; there are bridge, host and none`);
}

async function listNetworks(engine: Engine, exchange: Exchange): Promise<void> {
  const known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
  const filters = Filters.parse(exchange.text("filters"), known);
  const dangling = filters.flag("dangling");
  const chosen = engine.networks
    .list()
    .filter(
      (network) =>
        filters.exact("driver", network.driver) &&
        filters.exact("scope", "local") &&
        filters.some("name", (name) => network.name.includes(name)) &&
        filters.some("id", (id) => network.id.startsWith(id)) &&
        filters.some("type", (type) => type === "builtin") &&
        !filters.has("label") &&
        dangling !== true,
    );
  await exchange.json(
    200,
    chosen.map((network) => wireNetwork(engine, network, false)),
  );
}

function wireNetwork(engine: Engine, network: NetworkFacts, members: boolean): NetworkInspect {
  const { bridge } = network;
  const isBridge = network.name === "bridge";
  const config =
    isBridge && bridge !== null ? [{ Subnet: bridge.subnet, Gateway: bridge.gateway }] : isBridge ? [] : null;
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: "local",
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: config },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: members ? containersOn(engine, network) : {},
    Options: isBridge
      ? {
          "com.docker.network.bridge.default_bridge": "true",
          "com.docker.network.bridge.enable_icc": "true",
          "com.docker.network.bridge.enable_ip_masquerade": "true",
          "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
          "com.docker.network.bridge.name": bridge?.name ?? "docker0",
          "com.docker.network.driver.mtu": String(bridge?.mtu ?? 1500),
        }
      : {},
    Labels: {},
  };
}

function containersOn(engine: Engine, network: NetworkFacts): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const container of engine.containers.all()) {
    if (!container.running) continue;
    const { record } = container;
    if (engine.networks.mode(record.hostConfig).kind !== network.name) continue;
    const { endpoint } = record;
    members[record.id] = {
      Name: record.name,
      EndpointID: endpoint?.endpointId ?? "",
      MacAddress: endpoint?.mac ?? "",
      IPv4Address: endpoint === null ? "" : `${endpoint.address}/${endpoint.prefixLength}`,
      IPv6Address: "",
    };
  }
  return members;
}
