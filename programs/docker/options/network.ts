// --network and the flags that describe the first network of a container.

import type { EndpointSettings, NetworkingConfig } from "../../../api/engine/container.ts";
import { BadValue, quote } from "../../../base/flags/go.ts";
import { splitCommas } from "../../../base/flags/values.ts";

export interface NetworkAttachment {
  target: string;
  aliases: string[];
  links: string[];
  ip: string;
  ip6: string;
  linkLocal: string[];
  mac: string;
  driverOptions: Record<string, string> | null;
  priority: number;
}

export function emptyAttachment(target: string): NetworkAttachment {
  return { target, aliases: [], links: [], ip: "", ip6: "", linkLocal: [], mac: "", driverOptions: null, priority: 0 };
}

/** A name, or "name=web,alias=a,ip=…". */
export function parseNetwork(text: string): NetworkAttachment {
  if (!text.includes("=")) return emptyAttachment(text);
  const attachment = emptyAttachment("");
  for (const field of splitCommas(text)) {
    const equals = field.indexOf("=");
    if (equals <= 0) throw new BadValue(`invalid field ${field}`);
    const key = field.slice(0, equals).trim().toLowerCase();
    const value = field.slice(equals + 1).trim();
    if (key === "name") attachment.target = value;
    else if (key === "alias") attachment.aliases.push(value.toLowerCase());
    else if (key === "ip") attachment.ip = value;
    else if (key === "ip6") attachment.ip6 = value;
    else if (key === "mac-address") attachment.mac = checkMac(value);
    else if (key === "link-local-ip") attachment.linkLocal.push(value);
    else if (key === "driver-opt") addOption(attachment, value);
    else if (key === "gw-priority") attachment.priority = parsePriority(value);
    else throw new BadValue(`invalid field key ${key}`);
  }
  if (attachment.target === "") throw new BadValue("network name/id is not specified");
  return attachment;
}

function addOption(attachment: NetworkAttachment, value: string): void {
  const equals = value.indexOf("=");
  if (equals < 0) throw new BadValue("invalid key value pair format in driver options");
  (attachment.driverOptions ??= {})[value.slice(0, equals).trim().toLowerCase()] = value
    .slice(equals + 1)
    .trim()
    .toLowerCase();
}

function parsePriority(value: string): number {
  if (!/^[+-]?\d+$/.test(value)) throw new BadValue(`invalid gw-priority (${value}): invalid syntax`);
  return Number(value);
}

export function checkMac(text: string): string {
  const bytes = /^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$/;
  if (!bytes.test(text.trim())) throw new BadValue(`${text} is not a valid mac address`);
  return text.trim();
}

/** What --network and the flags beside it say together; `given` is how many --network there were. */
export function networkingConfig(attachments: readonly NetworkAttachment[], given: number): NetworkingConfig {
  const endpoints: Record<string, Partial<EndpointSettings>> = {};
  for (const attachment of attachments) {
    if (attachment.target === "") throw new Error("no name set for network");
    if (endpoints[attachment.target] !== undefined) {
      throw new Error(`network ${quote(attachment.target)} is specified multiple times`);
    }
    // One network that is only named is left to the daemon, as old daemons expect it.
    if (given === 1 && isPlain(attachment)) continue;
    endpoints[attachment.target] = endpointOf(attachment);
  }
  return { EndpointsConfig: endpoints };
}

function isPlain(attachment: NetworkAttachment): boolean {
  return JSON.stringify(endpointOf(attachment)) === JSON.stringify(endpointOf(emptyAttachment(attachment.target)));
}

function endpointOf(attachment: NetworkAttachment): EndpointSettings {
  const { ip, ip6, linkLocal } = attachment;
  const addressed = ip !== "" || ip6 !== "" || linkLocal.length > 0;
  return {
    IPAMConfig: addressed
      ? {
          ...(ip === "" ? {} : { IPv4Address: ip }),
          ...(ip6 === "" ? {} : { IPv6Address: ip6 }),
          ...(linkLocal.length === 0 ? {} : { LinkLocalIPs: linkLocal }),
        }
      : null,
    Links: attachment.links.length === 0 ? null : attachment.links,
    Aliases: attachment.aliases.length === 0 ? null : attachment.aliases,
    MacAddress: attachment.mac,
    DriverOpts: attachment.driverOptions,
    GwPriority: attachment.priority,
    NetworkID: "",
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}
