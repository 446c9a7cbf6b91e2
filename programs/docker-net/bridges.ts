// Bridges: found or made, with address, forwarding and their table.

import { Failure } from "../../base/errors.ts";
import { ConntrackSocket } from "../../linux/conntrack.ts";
import { ENOENT, errnoOf } from "../../linux/errno.ts";
import { readTextIfThere } from "../../linux/fd.ts";
import { encodeLinkUp, encodeNewAddress, encodeNewBridge, type Link, RouteSocket } from "../../linux/netlink-route.ts";
import * as nft from "../../linux/nftables.ts";
import * as ip from "./address.ts";
import { closeForwarding, forwardingIsOff, openForwarding, turnForwardingOff, turnForwardingOn } from "./firewall.ts";
import type { BridgeRecord, EndpointRecord, Records } from "./records.ts";
import { rebuild, tableOf } from "./rules.ts";

export interface BridgeWish {
  name: string;
  subnet: string;
  gateway: string;
  mtu: number;
  isolated: boolean;
}

const DEFAULT_NAME = "docker0";
const DEFAULT_MTU = 1500;
const MTU_RANGE = { least: 68, most: 65535 } as const;
/** Bytes of an interface's name, with its NUL sixteen. */
const NAME_LIMIT = 15;

/** The sockets of the namespace that docker-net lives in. */
export class Kernel {
  readonly route = new RouteSocket();
  readonly nft = new nft.NftablesSocket();
  readonly conntrack = new ConntrackSocket();
}

export class Bridges {
  readonly #kernel: Kernel;
  readonly #records: Records;
  readonly #known = new Map<string, BridgeRecord>();

  constructor(kernel: Kernel, records: Records) {
    this.#kernel = kernel;
    this.#records = records;
    for (const record of records.bridges()) this.#known.set(record.name, record);
  }

  list(): BridgeRecord[] {
    return [...this.#known.values()];
  }

  get(name: string): BridgeRecord {
    const record = this.#known.get(name);
    if (record === undefined) throw new Failure("not_found", `network bridge ${name} not found`);
    return record;
  }

  /** Idempotent. On failure nothing that was not there before is left. */
  ensure(wish: BridgeWish, endpoints: readonly EndpointRecord[]): { record: BridgeRecord; warnings: string[] } {
    const name = checkedName(wish.name === "" ? DEFAULT_NAME : wish.name);
    const known = this.#known.get(name);
    const link = this.#kernel.route.link(name);
    if (link !== null && link.kind !== "bridge") {
      throw new Failure("failed_precondition", `the interface ${name} exists and is not a bridge`);
    }
    const off = forwardingIsOff();
    const planned = known === undefined ? this.#plan(wish, link) : sameAsWished(known, wish);
    const record = off ? { ...planned, outside: this.#outside() } : planned;
    try {
      // Before anything exists: a bridge that a crash leaves behind is known as ours.
      this.#records.saveBridge(record);
      if (link === null) this.#make(record);
      else this.#complete(link, record);
      this.#kernel.nft.commit(`table of ${name}`, rebuild(record, endpoints));
      const warnings = [...(off ? turnForwardingOn() : []), ...openForwarding(this.#kernel.nft, name)];
      this.#known.set(name, record);
      return { record, warnings };
    } catch (thrown) {
      if (known === undefined) this.remove(record);
      throw thrown;
    }
  }

  /** Table, rules and, if we made it, the interface. */
  remove(record: BridgeRecord): void {
    this.#undo(record);
    this.#records.removeBridge(record.name);
    this.#known.delete(record.name);
  }

  #undo(record: BridgeRecord): void {
    const table = tableOf(record.name);
    this.#kernel.nft.commit(`table of ${record.name}`, new nft.Transaction().addTable(table).deleteTable(table));
    closeForwarding(this.#kernel.nft, record.name);
    if (record.made) this.#kernel.route.deleteLink(record.name);
    if (record.outside.length > 0) turnForwardingOff(this.#kernel.nft);
  }

  #plan(wish: BridgeWish, link: Link | null): BridgeRecord {
    const name = wish.name === "" ? DEFAULT_NAME : wish.name;
    const mtu = wish.mtu === 0 ? DEFAULT_MTU : wish.mtu;
    if (mtu < MTU_RANGE.least || mtu > MTU_RANGE.most) throw new Failure("invalid_argument", `invalid MTU ${mtu}`);
    const has = link === null ? null : this.#addressOf(link);
    const { prefix, address } = this.#choose(wish.subnet, has);
    const gateway = gatewayOf(wish.gateway, prefix, address);
    if (has !== null && (has.length !== prefix.length || has.address !== gateway)) {
      const present = `${ip.formatInet4(has.address)}/${has.length}`;
      const wanted = `${ip.formatInet4(gateway)}/${prefix.length}`;
      throw new Failure("failed_precondition", `bridge ${name} has the address ${present}, not ${wanted}`);
    }
    const { isolated } = wish;
    const texts = { subnet: ip.formatPrefix(prefix), gateway: ip.formatInet4(gateway) };
    return { name, ...texts, mtu: link?.mtu ?? mtu, isolated, made: link === null, outside: [] };
  }

  /** What is neither a bridge nor a port of one: the host's ways to other machines. */
  #outside(): string[] {
    const links = this.#kernel.route.links();
    const apart = links.filter((link) => link.name !== "lo" && link.kind !== "bridge" && link.master === 0);
    return apart.map((link) => link.name);
  }

  /** The wished subnet, else the bridge's own, else a free pool. `address` is an address in it, or its network. */
  #choose(subnet: string, has: { address: number; length: number } | null): { prefix: ip.Prefix; address: number } {
    if (subnet === "" && has !== null) return { prefix: ip.prefixOf(has.address, has.length), address: has.address };
    const taken = this.#taken();
    if (subnet === "") {
      const prefix = ip.choosePool([...taken, ...nameservers()]);
      return { prefix, address: prefix.network };
    }
    const wished = ip.parsePrefix(subnet);
    if (has === null && taken.some((one) => ip.overlaps(one, wished.prefix))) {
      throw new Failure("failed_precondition", `the subnet ${subnet} overlaps a route or an address of this host`);
    }
    return wished;
  }

  #taken(): ip.Prefix[] {
    const present = [...this.#kernel.route.routes(), ...this.#kernel.route.addresses()];
    const bridges = this.list().map((record) => ip.parsePrefix(record.subnet).prefix);
    return [...present.map((one) => ip.prefixOf(ip.fromBytes(one.address), one.length)), ...bridges];
  }

  #addressOf(link: Link): { address: number; length: number } | null {
    const found = this.#kernel.route.addresses().find((one) => one.index === link.index);
    return found === undefined ? null : { address: ip.fromBytes(found.address), length: found.length };
  }

  #make(record: BridgeRecord): void {
    const mac = ip.macOf(ip.parseInet4(record.gateway)!);
    const { name, mtu } = record;
    this.#kernel.route.change(name, [(sequence) => encodeNewBridge({ name, mac, mtu }, sequence)]);
    this.#complete(this.#kernel.route.link(name)!, record);
  }

  #complete(link: Link, record: BridgeRecord): void {
    const { prefix } = ip.parsePrefix(record.subnet);
    const address = ip.toBytes(ip.parseInet4(record.gateway)!);
    if (this.#addressOf(link) === null) {
      const inet = { address, length: prefix.length };
      this.#kernel.route.change(link.name, [(sequence) => encodeNewAddress(link.index, inet, sequence)]);
    }
    if (!link.up) this.#kernel.route.change(link.name, [(sequence) => encodeLinkUp(link.index, sequence)]);
  }

  /** Whether the bridge's table is in the kernel: someone may have flushed the whole rule set. */
  hasTable(name: string): boolean {
    try {
      return this.#kernel.nft.tables().includes(tableOf(name));
    } catch (thrown) {
      if (errnoOf(thrown) === ENOENT) return false;
      throw thrown;
    }
  }
}

function checkedName(name: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name) || name.length > NAME_LIMIT || name === "lo") {
    throw new Failure("invalid_argument", `invalid bridge name ${JSON.stringify(name)}`);
  }
  return name;
}

function sameAsWished(known: BridgeRecord, wish: BridgeWish): BridgeRecord {
  const wished = wish.subnet === "" ? known.subnet : ip.formatPrefix(ip.parsePrefix(wish.subnet).prefix);
  if (wished !== known.subnet || (wish.gateway !== "" && wish.gateway !== known.gateway)) {
    const asked = `${wished}${wish.gateway === "" ? "" : ` with gateway ${wish.gateway}`}`;
    const text = `bridge ${known.name} has the subnet ${known.subnet} with gateway ${known.gateway}, not ${asked}`;
    throw new Failure("failed_precondition", text);
  }
  return { ...known, isolated: wish.isolated };
}

function gatewayOf(wish: string, prefix: ip.Prefix, address: number): number {
  if (wish === "") return address === prefix.network ? prefix.network + 1 : address;
  const gateway = ip.parseInet4(wish);
  const last = prefix.network + ip.sizeOf(prefix) - 1;
  if (gateway === null || gateway <= prefix.network || gateway >= last) {
    throw new Failure("invalid_argument", `the gateway ${wish} is not an address of ${ip.formatPrefix(prefix)}`);
  }
  return gateway;
}

/** A pool that hides a name server would cut the host off from names. */
function nameservers(): ip.Prefix[] {
  const lines = (readTextIfThere("/etc/resolv.conf") ?? "").split("\n");
  return lines.flatMap((line) => {
    const address = ip.parseInet4(/^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "");
    return address === null ? [] : [ip.prefixOf(address, 32)];
  });
}
