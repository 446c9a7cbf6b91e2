// Attach and Detach: a container's network namespace, its pair of interfaces, its address and its ports.
//
//     Attach: ports bound ─▶ record ".attaching" ─▶ netns ─▶ veth, addresses ─▶ ports mapped ─▶ record renamed
//     Detach: ports unmapped ─▶ netns (and with it, a little later, the pair: departures.ts) ─▶ sockets ─▶ record
//
// What fails half-way is undone at once; what a crash left half-way, at the next start.

import { toHex } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { ENOENT, errnoOf } from "../../linux/errno.ts";
import { type Fd, readTextIfThere, stat, writeFile } from "../../linux/fd.ts";
import * as route from "../../linux/netlink-route.ts";
import * as netns from "../../linux/netns.ts";
import * as nft from "../../linux/nftables.ts";
import { randomBytes } from "../../linux/process.ts";
import * as ip from "./address.ts";
import type { Bridges, Kernel } from "./bridges.ts";
import type { Connections } from "./connections.ts";
import type { Departures } from "./departures.ts";
import type { Ports, PortWish } from "./ports.ts";
import type { BridgeRecord, EndpointRecord, Records } from "./records.ts";
import { mapPorts, rebuild, unmapPorts } from "./rules.ts";

/** Whether packets between ports of a bridge pass the firewall, too. Then its rules keep containers apart; the bridge's
 *  own isolation would also drop what comes through a published port, as that is translated within the bridge. */
function bridgedPacketsAreFiltered(): boolean {
  return readTextIfThere("/proc/sys/net/bridge/bridge-nf-call-iptables")?.trim() === "1";
}

export interface AttachWish {
  containerId: string;
  bridge: string;
  address: string;
  ports: readonly PortWish[];
}

const ID = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/;
const CONTAINER_INTERFACE = "eth0";
/** Of the host's interface names: veth and seven hexadecimal digits, as Docker's. */
const NAME_DIGITS = 7;
/** In a new namespace: no IPv6 on interfaces still to come, as long as networks have none. */
const NO_INET6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

export interface Parts {
  kernel: Kernel;
  records: Records;
  bridges: Bridges;
  ports: Ports;
  departures: Departures;
  connections: Connections;
}

export class Endpoints {
  readonly #kernel: Kernel;
  readonly #records: Records;
  readonly #bridges: Bridges;
  readonly #ports: Ports;
  readonly #departures: Departures;
  readonly #connections: Connections;
  readonly #known = new Map<string, EndpointRecord>();

  constructor(parts: Parts) {
    this.#kernel = parts.kernel;
    this.#records = parts.records;
    this.#bridges = parts.bridges;
    this.#ports = parts.ports;
    this.#departures = parts.departures;
    this.#connections = parts.connections;
  }

  list(): EndpointRecord[] {
    return [...this.#known.values()];
  }

  on(bridge: string): EndpointRecord[] {
    return this.list().filter((endpoint) => endpoint.bridge === bridge);
  }

  namespacePath(endpoint: EndpointRecord): string {
    return this.#records.namespacePath(endpoint.containerId);
  }

  /** After a start: undoes what was half done, forgets what is gone with the machine, binds the ports of the rest
   *  again. Gives sentences about ports that others took meanwhile. */
  recover(): string[] {
    for (const half of this.#records.unfinished()) this.#remove(half);
    const lost: string[] = [];
    for (const endpoint of this.#records.endpoints()) {
      if (!netns.isNamespace(this.namespacePath(endpoint))) {
        this.#remove(endpoint);
        continue;
      }
      this.#known.set(endpoint.containerId, endpoint);
      lost.push(...this.#ports.rebind(endpoint));
      this.#ports.serve(endpoint.containerId, ip.toBytes(ip.parseInet4(endpoint.address)!));
    }
    for (const name of this.#records.namespaces()) {
      if (!this.#known.has(name)) netns.releaseNamespace(this.#records.namespacePath(name));
    }
    this.#sweepInterfaces();
    return lost;
  }

  /** Ports of bridges that we made are ours: what no record names was leaving when we died. */
  #sweepInterfaces(): void {
    const ours = new Set(this.list().map((endpoint) => endpoint.interface));
    const made = this.#bridges.list().filter((bridge) => bridge.made);
    const links = this.#kernel.route.links();
    for (const { name } of made) {
      const bridge = links.find((link) => link.name === name);
      for (const link of links) {
        const leftOver = link.master === bridge?.index && link.kind === "veth" && !ours.has(link.name);
        if (bridge !== undefined && leftOver) this.#kernel.route.deleteLink(link.name);
      }
    }
  }

  attach(wish: AttachWish): EndpointRecord {
    if (!ID.test(wish.containerId)) {
      throw new Failure("invalid_argument", `invalid container id ${JSON.stringify(wish.containerId)}`);
    }
    const known = this.#known.get(wish.containerId);
    if (known !== undefined) return known;
    const bridge = this.#bridges.get(wish.bridge);
    const address = this.#chooseAddress(bridge, wish.address);
    const ports = this.#ports.reserve(wish.containerId, wish.ports);
    const endpoint: EndpointRecord = {
      containerId: wish.containerId,
      bridge: bridge.name,
      address: ip.formatInet4(address),
      mac: ip.formatMac(ip.macOf(address)),
      interface: `veth${toHex(randomBytes(4)).slice(0, NAME_DIGITS)}`,
      ports,
    };
    try {
      this.#records.begin(endpoint);
      this.#build(bridge, endpoint);
      this.#map(bridge, endpoint);
      this.#records.finish(endpoint.containerId);
    } catch (thrown) {
      this.#remove(endpoint);
      throw thrown;
    }
    this.#ports.serve(endpoint.containerId, ip.toBytes(address));
    this.#connections.begin(endpoint);
    this.#known.set(endpoint.containerId, endpoint);
    return endpoint;
  }

  detach(containerId: string): void {
    const endpoint = this.#known.get(containerId);
    if (endpoint === undefined) return;
    this.#unmap(endpoint);
    netns.releaseNamespace(this.namespacePath(endpoint));
    this.#departures.begin(endpoint);
    this.#connections.end(endpoint);
    this.#forget(endpoint);
  }

  #chooseAddress(bridge: BridgeRecord, wish: string): number {
    const { prefix } = ip.parsePrefix(bridge.subnet);
    const taken = new Set(this.on(bridge.name).map((endpoint) => ip.parseInet4(endpoint.address)!));
    taken.add(ip.parseInet4(bridge.gateway)!);
    for (const address of this.#departures.addresses()) taken.add(ip.parseInet4(address)!);
    if (wish !== "") {
      const address = ip.parseInet4(wish);
      const last = prefix.network + ip.sizeOf(prefix) - 1;
      if (address === null || address <= prefix.network || address >= last) {
        throw new Failure(
          "invalid_argument",
          `invalid address ${wish}: it does not belong to any of this network's subnets`,
        );
      }
      if (taken.has(address)) throw new Failure("failed_precondition", "Address already in use");
      return address;
    }
    const free = ip.lowestFree(prefix, taken);
    if (free !== null) return free;
    const text = `no available IPv4 addresses on this network's address pools: ${bridge.name} (${bridge.subnet})`;
    throw new Failure("resource_exhausted", text);
  }

  /** The namespace, and in it lo and eth0, up, with the address and the default route. */
  #build(bridge: BridgeRecord, endpoint: EndpointRecord): void {
    const link = this.#kernel.route.link(bridge.name);
    if (link === null) throw new Failure("failed_precondition", `the interface of bridge ${bridge.name} is gone`);
    // Read out here: the setting belongs to each network namespace.
    const isolated = bridge.isolated && !bridgedPacketsAreFiltered();
    netns.makeNamespace(this.namespacePath(endpoint), (namespace) => {
      if (stat(NO_INET6) !== null) writeFile(NO_INET6, "1\n");
      this.#makePair({ link, isolated }, endpoint, namespace);
      const { prefix } = ip.parsePrefix(bridge.subnet);
      const inet = { address: ip.toBytes(ip.parseInet4(endpoint.address)!), length: prefix.length };
      const gateway = ip.toBytes(ip.parseInet4(bridge.gateway)!);
      using inside = new route.RouteSocket();
      const { index } = inside.link(CONTAINER_INTERFACE)!;
      inside.change(`network of ${endpoint.containerId}`, [
        (sequence) => route.encodeLinkUp(route.LOOPBACK_INDEX, sequence),
        (sequence) => route.encodeNewAddress(index, inet, sequence),
        (sequence) => route.encodeLinkUp(index, sequence),
        (sequence) => route.encodeDefaultRoute(gateway, sequence),
      ]);
    });
  }

  #makePair(on: { link: route.Link; isolated: boolean }, endpoint: EndpointRecord, namespace: Fd): void {
    const { link } = on;
    const mac = ip.macOf(ip.parseInet4(endpoint.address)!);
    const peer = { namespace: namespace.number, name: CONTAINER_INTERFACE, mac };
    const veth = { name: endpoint.interface, bridge: link.index, mtu: link.mtu, peer };
    // Hairpin for hosts where bridged packets pass the firewall (br_netfilter): there a translated packet of a
    // container to itself never leaves the bridge.
    const port = { hairpin: true, isolated: on.isolated };
    this.#kernel.route.change(endpoint.interface, [
      (sequence) => route.encodeNewVeth(veth, sequence),
      (sequence) => route.encodeBridgePort(endpoint.interface, port, sequence),
    ]);
  }

  /** Somebody may have flushed the host's whole rule set: then the table is made anew. */
  #map(bridge: BridgeRecord, endpoint: EndpointRecord): void {
    const subject = `ports of ${endpoint.containerId}`;
    try {
      this.#kernel.nft.commit(subject, mapPorts(new nft.Transaction(), endpoint));
    } catch (thrown) {
      if (errnoOf(thrown) !== ENOENT) throw thrown;
      this.#kernel.nft.commit(subject, rebuild(bridge, [...this.on(bridge.name), endpoint]));
    }
  }

  #unmap(endpoint: EndpointRecord): void {
    const subject = `ports of ${endpoint.containerId}`;
    try {
      this.#kernel.nft.commit(subject, unmapPorts(new nft.Transaction(), endpoint));
    } catch (thrown) {
      if (errnoOf(thrown) !== ENOENT) throw thrown;
      const others = this.on(endpoint.bridge).filter((one) => one !== endpoint);
      this.#kernel.nft.commit(subject, rebuild(this.#bridges.get(endpoint.bridge), others));
    }
  }

  /** What was never mapped, or whose table is made anew: all of it goes at once. */
  #remove(endpoint: EndpointRecord): void {
    this.#kernel.route.deleteLink(endpoint.interface);
    netns.releaseNamespace(this.namespacePath(endpoint));
    this.#forget(endpoint);
  }

  #forget(endpoint: EndpointRecord): void {
    this.#ports.release(endpoint.containerId);
    this.#records.removeEndpoint(endpoint.containerId);
    this.#known.delete(endpoint.containerId);
  }
}
