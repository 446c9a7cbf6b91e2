// The service that dockerd calls (api/net). Messages become wishes here, records become messages; but for Shutdown the
// handlers never wait, so calls are executed one at a time.

import {
  type AttachRequest,
  type Bridge,
  type Endpoint,
  type EnsureBridgeRequest,
  Net,
} from "../../../api/net/gen/net.ts";
import { processId } from "../../../linux/process.ts";
import type { TtrpcServer } from "../../../wire/ttrpc/server.ts";
import { parsePrefix } from "../address.ts";
import type { Bridges } from "../bridges.ts";
import type { Departures } from "../departures.ts";
import type { Endpoints } from "../endpoints.ts";
import type { BridgeRecord, EndpointRecord } from "../records.ts";

export const VERSION = "0.1.0";

export interface Served {
  bridges: Bridges;
  endpoints: Endpoints;
  departures: Departures;
  /** Called when everything has been removed: the program may end. */
  ended: () => void;
}

export function registerNet(server: TtrpcServer, served: Served): void {
  const { bridges, endpoints, departures } = served;
  server.register(Net, {
    async ping() {
      return { pid: processId(), version: VERSION };
    },
    async ensureBridge(request: EnsureBridgeRequest) {
      const name = request.name === "" ? "docker0" : request.name;
      const { record, warnings } = bridges.ensure(request, endpoints.on(name));
      return { ...bridgeMessage(record), warnings };
    },
    async attach(request: AttachRequest) {
      return endpointMessage(endpoints.attach(request), served);
    },
    async detach(request) {
      endpoints.detach(request.containerId);
      return {};
    },
    async list() {
      return {
        endpoints: endpoints.list().map((endpoint) => endpointMessage(endpoint, served)),
        bridges: bridges.list().map(bridgeMessage),
      };
    },
    async shutdown() {
      for (const endpoint of endpoints.list()) endpoints.detach(endpoint.containerId);
      await departures.done();
      for (const bridge of bridges.list()) bridges.remove(bridge);
      served.ended();
      return {};
    },
  });
}

function bridgeMessage(record: BridgeRecord): Bridge {
  const { name, subnet, gateway, mtu } = record;
  return { name, subnet, gateway, mtu, warnings: [] };
}

function endpointMessage(endpoint: EndpointRecord, served: Served): Endpoint {
  const bridge = served.bridges.get(endpoint.bridge);
  return {
    containerId: endpoint.containerId,
    bridge: endpoint.bridge,
    netnsPath: served.endpoints.namespacePath(endpoint),
    address: endpoint.address,
    prefixLength: parsePrefix(bridge.subnet).prefix.length,
    gateway: bridge.gateway,
    mac: endpoint.mac,
    ports: endpoint.ports,
  };
}
