// The nftables table of one bridge. Ports are elements of two maps, so a packet costs the same with one and with ten
// thousand; a container comes and goes as one transaction of elements and never changes a rule.
//
//     prerouting, output   to an address of this host ─▶ maps ─▶ destination NAT
//     forward              out to the bridge ─▶ inward: answers, translated, between containers ─▶ else drop
//                          between interfaces that were there when we turned forwarding on ─▶ drop
//     postrouting          from the subnet to elsewhere, or through a mapping back to the bridge ─▶ masquerade
//
// Translated connections are the only new ones let in: a neighbour that routes straight to a container's address,
// published or not, is dropped. Loopback destinations are left to the listening sockets, so route_localnet stays off.

import * as nft from "../../linux/nftables.ts";
import * as rule from "../../linux/nftables-expression.ts";
import { ipv4Bytes } from "../../linux/socket.ts";
import { parsePrefix, toBytes } from "./address.ts";
import type { BridgeRecord, EndpointRecord, PortRecord } from "./records.ts";

/** protocol . port : address . port, for ports published on every address */
const EVERYWHERE = "ports";
/** address . protocol . port : address . port, for the others */
const AT_ADDRESS = "ports_at";
const [TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT] = [7, 12, 13];
/** nft's numbers of concatenated types: six bits for each part. */
const concatenatedType = (...types: number[]) => types.reduce((whole, type) => (whole << 6) | type, 0);
const SOURCE_NAT = 100;
const DESTINATION_NAT = -100;

/** Names of tables have letters, digits and underscores. */
export function tableOf(bridge: string): string {
  return `gantry_${bridge.replace(/[^A-Za-z0-9]/g, (letter) => (letter === "_" ? "__" : `_${letter.charCodeAt(0)}_`))}`;
}

/** Makes the table anew with the ports of these endpoints, in place of one that is there, without a moment between. */
export function rebuild(bridge: BridgeRecord, endpoints: readonly EndpointRecord[]): nft.Transaction {
  const table = tableOf(bridge.name);
  // Added first, so that deleting never fails.
  const all = new nft.Transaction().addTable(table).deleteTable(table).addTable(table);
  const valueLength = 8;
  const valueType = concatenatedType(TYPE_ADDRESS, TYPE_PORT);
  const keyType = concatenatedType(TYPE_PROTOCOL, TYPE_PORT);
  all.addMap(table, { name: EVERYWHERE, keyLength: 8, keyType, valueLength, valueType });
  const atType = concatenatedType(TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT);
  all.addMap(table, { name: AT_ADDRESS, keyLength: 12, keyType: atType, valueLength, valueType });
  addTranslation(all, table);
  addFiltering(all, bridge);
  addMasquerading(all, bridge);
  for (const endpoint of endpoints) mapPorts(all, endpoint);
  return all;
}

function addTranslation(all: nft.Transaction, table: string): void {
  const [key, address, port] = [rule.REG32_0, rule.REG32_0 + 8, rule.REG32_0 + 9];
  all.addChain(table, "translate");
  all.addRule({ table, chain: "translate" }, [
    rule.loadMeta("l4proto", key),
    rule.loadField("destination port", key + 1),
    rule.lookup(EVERYWHERE, key, address),
    rule.destinationNat(address, port),
  ]);
  all.addRule({ table, chain: "translate" }, [
    rule.loadField("destination address", key),
    rule.loadMeta("l4proto", key + 1),
    rule.loadField("destination port", key + 2),
    rule.lookup(AT_ADDRESS, key, address),
    rule.destinationNat(address, port),
  ]);
  const loopback = { address: Uint8Array.of(127, 0, 0, 0), length: 8 };
  for (const hook of ["prerouting", "output"] as const) {
    all.addBaseChain(table, { name: hook, type: "nat", hook, priority: DESTINATION_NAT });
    const local = [
      ...rule.addressIn("destination address", loopback, "not equal"),
      ...rule.destinationIsLocal(),
      rule.verdict({ jump: "translate" }),
    ];
    all.addRule({ table, chain: hook }, local);
  }
}

function addFiltering(all: nft.Transaction, bridge: BridgeRecord): void {
  const table = tableOf(bridge.name);
  const inward = { table, chain: "inward" };
  all.addChain(table, "inward");
  const established = rule.conntrackState(rule.CT_ESTABLISHED_OR_RELATED);
  all.addRule(inward, [...established, rule.verdict("accept")]);
  all.addRule(inward, [...rule.conntrackStatus(rule.CT_STATUS_DNAT), rule.verdict("accept")]);
  if (!bridge.isolated) all.addRule(inward, [...rule.incomingIs(bridge.name), rule.verdict("accept")]);
  all.addRule(inward, [rule.verdict("drop")]);
  all.addBaseChain(table, { name: "forward", type: "filter", hook: "forward", priority: 0 });
  all.addRule({ table, chain: "forward" }, [...rule.outgoingIs(bridge.name), rule.verdict({ jump: "inward" })]);
  keepApart(all, bridge);
}

/** Forwarding was off before us. It is on now for the sake of containers, and must not make a router of the host. */
function keepApart(all: nft.Transaction, bridge: BridgeRecord): void {
  if (bridge.outside.length === 0) return;
  const table = tableOf(bridge.name);
  all.addChain(table, "outside");
  for (const name of bridge.outside) {
    all.addRule({ table, chain: "forward" }, [...rule.incomingIs(name), rule.verdict({ jump: "outside" })]);
    all.addRule({ table, chain: "outside" }, [...rule.outgoingIs(name), rule.verdict("drop")]);
  }
}

function addMasquerading(all: nft.Transaction, bridge: BridgeRecord): void {
  const table = tableOf(bridge.name);
  const { prefix } = parsePrefix(bridge.subnet);
  const fromSubnet = rule.addressIn("source address", { address: toBytes(prefix.network), length: prefix.length });
  all.addBaseChain(table, { name: "postrouting", type: "nat", hook: "postrouting", priority: SOURCE_NAT });
  const where = { table, chain: "postrouting" };
  all.addRule(where, [...fromSubnet, ...rule.outgoingIsNot(bridge.name), rule.masquerade()]);
  // A container that reaches a neighbour (or itself) through a published port must get the answer through us, too.
  const translated = rule.conntrackStatus(rule.CT_STATUS_DNAT);
  all.addRule(where, [...fromSubnet, ...rule.outgoingIs(bridge.name), ...translated, rule.masquerade()]);
}

export function mapPorts(all: nft.Transaction, endpoint: EndpointRecord): nft.Transaction {
  const sorted = elementsOf(endpoint);
  const table = tableOf(endpoint.bridge);
  return all.addElements(table, EVERYWHERE, sorted.everywhere).addElements(table, AT_ADDRESS, sorted.atAddress);
}

export function unmapPorts(all: nft.Transaction, endpoint: EndpointRecord): nft.Transaction {
  const { everywhere, atAddress } = elementsOf(endpoint);
  const table = tableOf(endpoint.bridge);
  const keys = (elements: readonly nft.MapElement[]) => elements.map((element) => element.key);
  return all.deleteElements(table, EVERYWHERE, keys(everywhere)).deleteElements(table, AT_ADDRESS, keys(atAddress));
}

function elementsOf(endpoint: EndpointRecord): { everywhere: nft.MapElement[]; atAddress: nft.MapElement[] } {
  const [everywhere, atAddress]: [nft.MapElement[], nft.MapElement[]] = [[], []];
  for (const port of endpoint.ports) {
    const host = ipv4Bytes(port.hostIp);
    // IPv6 and loopback are carried by the proxy alone.
    if (host === null || host[0] === 127) continue;
    const value = rule.concatenated([ipv4Bytes(endpoint.address)!, portBytes(port.containerPort)]);
    const key = [protocolByte(port), portBytes(port.hostPort)];
    if (host.every((byte) => byte === 0)) everywhere.push({ key: rule.concatenated(key), value });
    else atAddress.push({ key: rule.concatenated([host, ...key]), value });
  }
  return { everywhere, atAddress };
}

function protocolByte(port: PortRecord): Uint8Array {
  return Uint8Array.of(port.protocol === "tcp" ? rule.IPPROTO_TCP : rule.IPPROTO_UDP);
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}
