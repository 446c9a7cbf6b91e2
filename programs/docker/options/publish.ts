// -p, --publish and --expose: "[[address:][hostPort[-end]]:]port[-end][/protocol]", and the long form with target= and
// published=. Gives the ports a container exposes and where each is bound.

import type { PortMap } from "../../../api/engine/container.ts";
import { quote } from "../../../base/flags/go.ts";
import { isAddress } from "./values.ts";

export interface PublishedPorts {
  exposed: Record<string, object>;
  bindings: PortMap;
}

export function parsePublished(specs: readonly string[]): PublishedPorts {
  const ports: PublishedPorts = { exposed: {}, bindings: {} };
  for (const spec of specs) {
    const plain = spec.includes("=") ? longForm(spec) : spec;
    addSpec(ports, plain);
  }
  return ports;
}

/** Adds what --expose names. */
export function addExposed(ports: PublishedPorts, specs: readonly string[]): void {
  for (const spec of specs) {
    if (spec.includes(":")) throw new Error(`invalid port format for --expose: ${spec}`);
    const [range, protocol] = splitProtocol(spec);
    try {
      const [from, to] = parseRange(range);
      for (let port = from; port <= to; port++) ports.exposed[`${port}/${protocol}`] = {};
    } catch (thrown) {
      throw new Error(`invalid range format for --expose: ${spec}, error: ${(thrown as Error).message}`);
    }
  }
}

function longForm(spec: string): string {
  const fields: Record<string, string> = {};
  for (const field of spec.split(",")) {
    const [key, value] = [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)];
    if (!["mode", "target", "published", "protocol"].includes(key)) throw new Error(`invalid field key ${key}`);
    fields[key] = value;
  }
  return `${fields["published"] ?? ""}:${fields["target"] ?? ""}/${fields["protocol"] ?? "tcp"}`;
}

function addSpec(ports: PublishedPorts, spec: string): void {
  const { address, hostRange, containerRange } = splitSpec(spec);
  const [range, protocol] = splitProtocol(containerRange);
  if (range === "") throw new Error(`no port specified: ${spec}<empty>`);
  const [from, to] = attempt(() => parseRange(range), `invalid containerPort: ${range}`);
  const host = hostRange === "" ? null : attempt(() => parseRange(hostRange), `invalid hostPort: ${hostRange}`);
  if (host !== null && host[1] - host[0] !== to - from && from !== to) {
    throw new Error(`invalid ranges specified for container and host Ports: ${range} and ${hostRange}`);
  }
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw new Error(`invalid proto: ${protocol}`);
  for (let port = from; port <= to; port++) {
    const key = `${port}/${protocol}`;
    let hostPort = "";
    if (host !== null) hostPort = from === to && host[0] !== host[1] ? hostRange : String(host[0] + port - from);
    ports.exposed[key] = {};
    ports.bindings[key] = [...(ports.bindings[key] ?? []), { HostIp: address, HostPort: hostPort }];
  }
}

function splitSpec(spec: string): { address: string; hostRange: string; containerRange: string } {
  const bracketed = /^\[([^\]]*)\]:(.*)$/.exec(spec);
  const parts = (bracketed === null ? spec : bracketed[2]!).split(":");
  const containerRange = parts.pop()!;
  const hostRange = parts.pop() ?? "";
  const address = bracketed === null ? parts.join(":") : bracketed[1]!;
  if (address !== "" && !isAddress(address)) throw new Error(`invalid IP address: ${address}`);
  return { address, hostRange, containerRange };
}

function splitProtocol(text: string): [range: string, protocol: string] {
  const slash = text.indexOf("/");
  if (slash < 0) return [text, "tcp"];
  return [text.slice(0, slash), text.slice(slash + 1).toLowerCase() || "tcp"];
}

function parseRange(text: string): [number, number] {
  if (text === "") throw new Error("empty string specified for ports");
  const [first, last, more] = text.split("-");
  if (more !== undefined)
    throw new Error(`strconv.ParseUint: parsing ${quote(text.slice(first!.length + 1))}: invalid syntax`);
  const from = parsePort(first!);
  const to = last === undefined ? from : parsePort(last);
  if (to < from) throw new Error(`invalid range specified for port: ${text}`);
  return [from, to];
}

function parsePort(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${quote(text)}: invalid syntax`);
  const port = Number(text);
  if (port > 65535) throw new Error(`strconv.ParseUint: parsing ${quote(text)}: value out of range`);
  return port;
}

function attempt<Result>(action: () => Result, words: string): Result {
  try {
    return action();
  } catch {
    throw new Error(words);
  }
}
