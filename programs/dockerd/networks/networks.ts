// Networks of this engine: the default bridge (built by docker-net), host and none. Containers join one of them, or
// another container's. Others come in later work and are refused with a sentence.

import { createHash } from "node:crypto";
import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import type { HostConfig } from "../containers/config.ts";
import type { Container } from "../containers/container.ts";
import type { Endpoint, PublishedPort } from "../containers/record.ts";

/** One binding asked for by -p: host ports as a range, 0 for any free one. */
export interface PortRequest {
  protocol: string;
  containerPort: number;
  hostIp: string;
  hostPort: number;
  hostPortEnd: number;
}

export interface AttachRequest {
  containerId: string;
  containerName: string;
  bridge: string;
  address: string;
  ports: PortRequest[];
}

export interface AttachedEndpoint {
  netnsPath: string;
  address: string;
  prefixLength: number;
  gateway: string;
  mac: string;
  ports: PublishedPort[];
}

/** docker-net, as far as dockerd uses it. */
export interface NetHelper {
  ensureBridge(wanted: { name: string; subnet: string; gateway: string }): Promise<BridgeFacts>;
  attach(request: AttachRequest): Promise<AttachedEndpoint>;
  detach(containerId: string): Promise<void>;
  list(): Promise<string[]>;
}

export interface BridgeFacts {
  name: string;
  subnet: string;
  gateway: string;
  mtu: number;
}

export interface NetworkFacts {
  id: string;
  name: string;
  driver: string;
  created: string;
  bridge: BridgeFacts | null;
}

export type NetworkMode =
  | { kind: "bridge" }
  | { kind: "host" }
  | { kind: "none" }
  | { kind: "container"; reference: string };

export class Networks {
  readonly #helper: (() => Promise<NetHelper>) | null;
  readonly #bridgeName: string;
  readonly #bip: string;
  readonly #created: string;
  #bridge: Promise<BridgeFacts> | null = null;
  #facts: BridgeFacts | null = null;

  /** `helper` is null when --bridge=none switched the default network off. */
  constructor(parts: { helper: (() => Promise<NetHelper>) | null; bridgeName: string; bip: string; created: string }) {
    this.#helper = parts.helper;
    this.#bridgeName = parts.bridgeName;
    this.#bip = parts.bip;
    this.#created = parts.created;
  }

  get hasBridge(): boolean {
    return this.#helper !== null;
  }

  /** Forgets what an earlier docker-net said: it was started anew. */
  reset(): void {
    this.#bridge = null;
  }

  list(): NetworkFacts[] {
    const names: [string, string][] = [
      ["host", "host"],
      ["none", "null"],
    ];
    if (this.hasBridge) names.unshift(["bridge", "bridge"]);
    return names.map(([name, driver]) => ({
      id: networkId(name, this.#created),
      name,
      driver,
      created: this.#created,
      bridge: name === "bridge" ? this.#facts : null,
    }));
  }

  find(reference: string): NetworkFacts {
    const all = this.list();
    const exact = all.find((network) => network.id === reference || network.name === reference);
    if (exact !== undefined) return exact;
    const found = reference === "" ? [] : all.filter((network) => network.id.startsWith(reference));
    if (found.length === 1) return found[0]!;
    throw new Failure("not_found", `network ${reference} not found`);
  }

  mode(hostConfig: HostConfig): NetworkMode {
    const text = hostConfig.NetworkMode ?? "";
    if (text === "none") return { kind: "none" };
    if (text === "host") return { kind: "host" };
    if (text.startsWith("container:")) return { kind: "container", reference: text.slice("container:".length) };
    const network = text === "" || text === "default" ? null : this.find(text);
    if (network !== null && network.driver === "host") return { kind: "host" };
    if (network !== null && network.driver === "null") return { kind: "none" };
    return this.hasBridge ? { kind: "bridge" } : { kind: "none" };
  }

  /** Makes sure the default bridge is there. */
  async bridge(): Promise<BridgeFacts> {
    if (this.#helper === null) throw new Failure("failed_precondition", "the default bridge network is switched off");
    this.#bridge ??= this.#ensure(this.#helper);
    try {
      this.#facts = await this.#bridge;
      return this.#facts;
    } catch (thrown) {
      this.#bridge = null;
      throw thrown;
    }
  }

  async attach(container: Container, address: string): Promise<Endpoint> {
    const bridge = await this.bridge();
    const helper = await this.#helper!();
    const { id, name } = container.record;
    const request = { containerId: id, containerName: name, bridge: bridge.name, address };
    const attached = await helper.attach({ ...request, ports: portRequests(container) }).catch((thrown) => {
      throw endpointFailure(thrown, name, endpointId(id));
    });
    return { network: "bridge", endpointId: endpointId(id), ...attached };
  }

  async detach(containerId: string): Promise<void> {
    if (this.#helper === null) return;
    await (await this.#helper()).detach(containerId);
  }

  async #ensure(helper: () => Promise<NetHelper>): Promise<BridgeFacts> {
    const net = await helper();
    return net.ensureBridge({ name: this.#bridgeName, ...splitBip(this.#bip) });
  }
}

/** --bip is the bridge's own address with its prefix length; the address of the whole network stands for its first. */
export function splitBip(bip: string): { subnet: string; gateway: string } {
  if (bip === "") return { subnet: "", gateway: "" };
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(bip);
  const parts = (match ?? []).slice(1).map(Number);
  const length = parts[4] ?? 99;
  if (match === null || length > 30 || parts.slice(0, 4).some((part) => part > 255)) {
    throw new Failure("invalid_argument", `invalid CIDR address: ${bip}`);
  }
  const address = parts.slice(0, 4).reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - length);
  const network = Math.floor(address / size) * size;
  const text = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
  return { subnet: `${text(network)}/${length}`, gateway: network === address ? "" : text(address) };
}

/** In the words that people search for; a failure of the host's, not a bad request. */
function endpointFailure(thrown: unknown, name: string, endpoint: string): Failure {
  const setUp = "failed to set up container networking: ";
  const ports = `driver failed programming external connectivity on endpoint ${name} (${endpoint}): `;
  const message = messageOf(thrown);
  const words = /\bbind\b|port/i.test(message) ? `${setUp}${ports}${message}` : `${setUp}${message}`;
  return new Failure(codeOf(thrown), words, { cause: thrown, facts: { status: 500 } });
}

export function endpointId(containerId: string): string {
  return createHash("sha256").update(`endpoint ${containerId}`).digest("hex");
}

function networkId(name: string, created: string): string {
  return createHash("sha256").update(`network ${name} ${created}`).digest("hex");
}

/** -p bindings, and with -P everything that is exposed. */
export function portRequests(container: Container): PortRequest[] {
  const { config, hostConfig } = container.record;
  const requests: PortRequest[] = [];
  const bound = hostConfig.PortBindings ?? {};
  for (const [port, bindings] of Object.entries(bound)) {
    const { protocol, number } = parsePort(port);
    for (const binding of bindings ?? []) {
      const [first, last] = parseRange(binding.HostPort ?? "");
      requests.push({
        protocol,
        containerPort: number,
        hostIp: binding.HostIp ?? "",
        hostPort: first,
        hostPortEnd: last,
      });
    }
  }
  if (hostConfig.PublishAllPorts !== true) return requests;
  for (const port of Object.keys(config.ExposedPorts ?? {})) {
    if ((bound[port] ?? []).length > 0) continue;
    const { protocol, number } = parsePort(port);
    requests.push({ protocol, containerPort: number, hostIp: "", hostPort: 0, hostPortEnd: 0 });
  }
  return requests;
}

export function parsePort(text: string): { protocol: string; number: number } {
  const [number, protocol = "tcp"] = text.split("/") as [string, string?];
  const value = Number(number);
  if (!/^\d{1,5}$/.test(number) || value > 65535 || !["tcp", "udp", "sctp"].includes(protocol)) {
    throw new Failure("invalid_argument", `invalid port specification: "${text}"`);
  }
  return { protocol, number: value };
}

function parseRange(text: string): [first: number, last: number] {
  if (text === "") return [0, 0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (match === null || first > 65535 || last > 65535 || last < first) {
    throw new Failure("invalid_argument", `invalid port specification: "${text}"`);
  }
  return [first, last];
}
