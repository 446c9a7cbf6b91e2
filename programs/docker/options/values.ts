// Values of run's flags that have a form of their own: devices, ulimits, rates, hosts, restart policies, key files.

import type { DeviceMapping, DeviceRequest, RestartPolicy, Ulimit } from "../../../api/engine/container.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { BadValue, parseGoInt, quote } from "../../../base/flags/go.ts";
import { splitCommas } from "../../../base/flags/values.ts";
import type { Runtime } from "../../../base/runtime.ts";
import { fileSentence } from "../cli.ts";
import { parseMemory } from "../format/units.ts";

const MAX_KEY_FILE_BYTES = 4 * 1024 * 1024;

export function parseUlimit(text: string): Ulimit {
  const match = /^([^=]*)=([^:]*)(?::(.*))?$/.exec(text);
  if (match === null || match[2] === "") throw new BadValue(`invalid ulimit argument: ${text}`);
  const [, name, softText, hardText] = match as unknown as [string, string, string, string | undefined];
  if (!ULIMITS.includes(name)) throw new BadValue(`invalid ulimit type: ${name}`);
  const soft = parseGoInt(softText);
  const hard = hardText === undefined ? soft : parseGoInt(hardText);
  if (hard !== -1 && soft > hard)
    throw new BadValue(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return { Name: name, Hard: hard, Soft: soft };
}

const ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
  " ",
);

export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(":");
  if (parts.length > 3 || parts[0] === "") throw new BadValue(`invalid device specification: ${text}`);
  const [host, second, third] = parts as [string, string?, string?];
  if (third !== undefined) return { PathOnHost: host, PathInContainer: second!, CgroupPermissions: third };
  if (second !== undefined && /^[rwm]{1,3}$/.test(second)) {
    return { PathOnHost: host, PathInContainer: host, CgroupPermissions: second };
  }
  return { PathOnHost: host, PathInContainer: second ?? host, CgroupPermissions: "rwm" };
}

/** The same check the original makes before it sends them. */
export function checkDevice(text: string): string {
  const parts = text.split(":");
  const bad = (path: string) => new Error(`${path} is not an absolute path`);
  if (parts.length > 3) throw new Error(`bad format for path: ${text}`);
  const path = parts.length > 1 && !/^[rwm]{1,3}$/.test(parts[1]!) ? parts[1]! : parts[0]!;
  if (!path.startsWith("/") && !text.includes("=")) throw bad(path);
  return text;
}

export function parseWeightDevice(text: string): { Path: string; Weight: number } {
  const { path, value } = deviceAndValue(text);
  const weight = /^\d+$/.test(value) ? Number(value) : -1;
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw new BadValue(`invalid weight for device: ${text}`);
  return { Path: path, Weight: weight };
}

export function parseBytesPerSecond(text: string): { Path: string; Rate: number } {
  const { path, value } = deviceAndValue(text);
  try {
    return { Path: path, Rate: parseMemory(value) };
  } catch {
    const form =
      "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb";
    throw new BadValue(`invalid rate for device: ${text}. The correct format is ${form}`);
  }
}

export function parseOperationsPerSecond(text: string): { Path: string; Rate: number } {
  const { path, value } = deviceAndValue(text);
  if (!/^\d+$/.test(value)) {
    const form = "<device-path>:<number>. Number must be a positive integer";
    throw new BadValue(`invalid rate for device: ${text}. The correct format is ${form}`);
  }
  return { Path: path, Rate: Number(value) };
}

function deviceAndValue(text: string): { path: string; value: string } {
  const [path, value, more] = text.split(":");
  if (value === undefined || more !== undefined) throw new BadValue(`bad format: ${text}`);
  if (!path!.startsWith("/dev/")) throw new BadValue(`bad format for device path: ${text}`);
  return { path: path!, value };
}

/** "1.5" to thousand millionths of a processor. */
export function parseCpus(text: string): number {
  const fraction = /^(\d+)\/(\d+)$/.exec(text);
  if (fraction === null && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    throw new BadValue(`failed to parse ${text} as a rational number`);
  }
  const nano = (fraction === null ? Number(text) : Number(fraction[1]) / Number(fraction[2])) * 1e9;
  const rounded = Math.round(nano);
  if (Math.abs(nano - rounded) > 1e-3) throw new BadValue("value is too precise");
  return rounded;
}

/** "host:ip" or "host=ip", stored as the first. */
export function checkExtraHost(text: string): string {
  const match = /^([^=:]*)[=:](.*)$/s.exec(text);
  if (match === null || match[1] === "") throw new BadValue(`bad format for add-host: ${quote(text)}`);
  const address = match[2]!.replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && !isAddress(address))
    throw new BadValue(`invalid IP address in add-host: ${quote(match[2]!)}`);
  return `${match[1]}:${address}`;
}

export function checkAddress(text: string): string {
  const address = text.trim();
  if (!isAddress(address)) throw new BadValue(`IP address is not correctly formatted: ${text}`);
  return address;
}

export function isAddress(text: string): boolean {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (v4 !== null) return v4.slice(1).every((part) => Number(part) < 256 && String(Number(part)) === part);
  return isAddress6(text);
}

function isAddress6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const all = groups.flat();
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? all.length < 8 : all.length === 8;
}

export function checkDnsSearch(text: string): string {
  const domain = text.trim();
  if (domain === ".") return domain;
  if (
    domain.length > 255 ||
    !/[a-zA-Z]/.test(domain) ||
    !/^(:?(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))(:?\.|$))*\.?$/.test(domain)
  ) {
    throw new BadValue(`${text} is not a valid domain`);
  }
  return domain;
}

export function checkLabel(text: string): string {
  const key = text.split("=")[0]!.trim();
  if (key === "") throw new BadValue(`invalid label '${text}': empty name`);
  return text;
}

/** A name without a value takes it from the environment, if it is there. */
export function environmentCheck(runtime: () => Runtime): (text: string) => string {
  return (text) => {
    const equals = text.indexOf("=");
    if (equals === 0 || text === "") throw new BadValue(`invalid environment variable: ${text}`);
    const value = equals < 0 ? runtime().env[text] : undefined;
    return value === undefined ? text : `${text}=${value}`;
  };
}

export function checkSysctl(text: string): string {
  const name = text.split("=")[0]!;
  const prefixes = ["net.", "fs.mqueue.", "kernel.msg", "kernel.sem", "kernel.shm"];
  const known =
    prefixes.some((prefix) => name.startsWith(prefix)) || /^(user\.|kernel\.(domainname|hostname)$)/.test(name);
  if (!text.includes("=") || !known) throw new BadValue(`sysctl '${text}' is not allowed`);
  return text;
}

export function checkAttach(text: string): string {
  const stream = text.toLowerCase();
  if (!["stdin", "stdout", "stderr"].includes(stream)) throw new BadValue("valid streams are STDIN, STDOUT and STDERR");
  return stream;
}

export function checkLink(text: string): string {
  if (text === "" || text.split(":").length > 2) throw new BadValue(`bad format for links: ${text}`);
  return text;
}

export function parseRestart(text: string): RestartPolicy {
  if (text === "") return { Name: "", MaximumRetryCount: 0 };
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  if (colon === 0) throw new Error("invalid restart policy format: no policy provided before colon");
  const count = colon < 0 ? "0" : text.slice(colon + 1);
  if (!/^-?\d+$/.test(count)) throw new Error("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name as RestartPolicy["Name"], MaximumRetryCount: Number(count) };
}

export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: "", Count: 0, DeviceIDs: null, Capabilities: null, Options: {} };
  for (const field of splitCommas(text)) {
    const equals = field.indexOf("=");
    const key = equals < 0 ? "count" : field.slice(0, equals);
    const value = equals < 0 ? field : field.slice(equals + 1);
    if (key === "driver") request.Driver = value;
    else if (key === "count") request.Count = gpuCount(value);
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options")
      request.Options = Object.fromEntries(value.split(",").map((pair) => pair.split("=") as [string, string]));
    else throw new BadValue(`unexpected key '${key}' in '${field}'`);
  }
  if (request.Count === 0 && request.DeviceIDs === null) request.Count = 1;
  return { ...request, Capabilities: request.Capabilities ?? [["gpu"]] };
}

function gpuCount(text: string): number {
  if (text === "all") return -1;
  if (!/^-?\d+$/.test(text))
    throw new BadValue(`invalid count (${text}): value must be either "all" or an integer: invalid syntax`);
  return Number(text);
}

/** Lines of --env-file and --label-file: comments and empty lines are skipped. */
export function readKeyFile(runtime: Runtime, path: string, lookUp: (name: string) => string | undefined): string[] {
  let content: Uint8Array | null;
  try {
    content = runtime.files.read(path, MAX_KEY_FILE_BYTES);
  } catch (thrown) {
    throw new Error(fileSentence(thrown, "open", path));
  }
  if (content === null) throw new Error(`open ${path}: no such file or directory`);
  const entries: string[] = [];
  for (const raw of decodeUtf8(content)
    .replace(/^\ufeff/, "")
    .split("\n")) {
    const line = raw.replace(/\r$/, "").replace(/^\s+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const name = equals < 0 ? line : line.slice(0, equals);
    if (name === "") throw new Error(`invalid env file (${path}): no variable name on line '${line}'`);
    if (/[ \t]/.test(name.trimEnd()) || /[ \t]$/.test(name))
      throw new Error(`invalid env file (${path}): variable '${name}' contains whitespaces`);
    if (equals >= 0) entries.push(line);
    else {
      const value = lookUp(name);
      if (value !== undefined) entries.push(`${name}=${value}`);
    }
  }
  return entries;
}

/** "a=b" entries as a map; what has no "=" gets "". */
export function toMap(entries: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const entry of entries) {
    const equals = entry.indexOf("=");
    if (equals < 0) map[entry] = "";
    else map[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return map;
}
