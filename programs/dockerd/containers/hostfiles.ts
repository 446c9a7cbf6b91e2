// hostname, hosts and resolv.conf of a container: files in its folder that are bound over the image's. Written at
// create and again at each start, because an address may have changed.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../engine.ts";
import type { ContainerRecord } from "./record.ts";

const LOOPBACK_HOSTS = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** Used where the host's own servers cannot be reached from inside (they listen on its loopback). */
const FALLBACK_SERVERS = ["8.8.8.8", "8.8.4.4"];

export interface HostFiles {
  folder: string;
  hostname: string;
  hosts: string;
  resolvConf: string;
}

export function hostFiles(engine: Engine, id: string): HostFiles {
  const folder = join(engine.settings.dataRoot, "containers", id);
  return {
    folder,
    hostname: join(folder, "hostname"),
    hosts: join(folder, "hosts"),
    resolvConf: join(folder, "resolv.conf"),
  };
}

export function writeHostFiles(engine: Engine, record: ContainerRecord): void {
  const files = hostFiles(engine, record.id);
  mkdirSync(files.folder, { recursive: true, mode: 0o710 });
  const { kind } = engine.networks.mode(record.hostConfig);
  if (kind === "container") return; // those of the other container are used
  writeFileSync(files.hostname, `${record.config.Hostname ?? ""}\n`);
  writeFileSync(files.hosts, hostsText(engine, record, kind === "host"));
  writeFileSync(files.resolvConf, resolvText(engine, record, kind === "bridge"));
}

function hostsText(engine: Engine, record: ContainerRecord, ofHost: boolean): string {
  const extra = (record.hostConfig.ExtraHosts ?? []).map((entry) => extraHost(engine, record, entry));
  if (ofHost && existsSync("/etc/hosts")) {
    const own = readFileSync("/etc/hosts", "utf8");
    return extra.length === 0 ? own : `${own.replace(/\n?$/, "\n")}${extra.join("\n")}\n`;
  }
  const lines = [...LOOPBACK_HOSTS, ...extra];
  const address = record.endpoint?.address ?? "";
  if (address !== "") {
    const { Hostname = "", Domainname = "" } = record.config;
    lines.push(`${address}\t${Domainname === "" ? Hostname : `${Hostname}.${Domainname} ${Hostname}`}`);
  }
  return `${lines.join("\n")}\n`;
}

/** "name:address"; host-gateway stands for the address of the bridge. */
function extraHost(_engine: Engine, record: ContainerRecord, entry: string): string {
  const separator = entry.search(/[:=]/);
  const [name, address] = [entry.slice(0, separator), entry.slice(separator + 1)];
  const resolved = address === "host-gateway" ? (record.endpoint?.gateway ?? "127.0.0.1") : address;
  return `${resolved.replace(/^\[|\]$/g, "")}\t${name}`;
}

function resolvText(engine: Engine, record: ContainerRecord, isolated: boolean): string {
  const host = existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf", "utf8") : "";
  const { Dns, DnsSearch, DnsOptions } = record.hostConfig;
  const { settings } = engine;
  const pick = (own: readonly string[] | null | undefined, daemon: readonly string[]) =>
    own !== null && own !== undefined && own.length > 0 ? own : daemon;
  const servers = pick(Dns, settings.dns);
  const search = pick(DnsSearch, settings.dnsSearch);
  const options = pick(DnsOptions, settings.dnsOptions);
  if (servers.length === 0 && search.length === 0 && options.length === 0 && !isolated) return host;
  const of = (word: string) =>
    host
      .split("\n")
      .filter((line) => new RegExp(`^\\s*${word}\\s`).test(line))
      .map((line) => line.trim().split(/\s+/).slice(1));
  let names = servers.length > 0 ? [...servers] : of("nameserver").map((words) => words[0]!);
  if (isolated && servers.length === 0) {
    names = names.filter((name) => !/^127\.|^::1$/.test(name));
    if (names.length === 0) names = [...FALLBACK_SERVERS];
  }
  const lines = names.map((name) => `nameserver ${name}`);
  const searched = search.length > 0 ? [...search] : of("search").flat();
  if (searched.length > 0 && !(searched.length === 1 && searched[0] === "."))
    lines.push(`search ${searched.join(" ")}`);
  const chosen = options.length > 0 ? [...options] : of("options").flat();
  if (chosen.length > 0) lines.push(`options ${chosen.join(" ")}`);
  return `${lines.join("\n")}\n`;
}
