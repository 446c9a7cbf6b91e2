// From a container's record to the request that core/spec builds its OCI document of: looks up namespaces of other
// containers, devices and limits. Called at create (to store the document early) and again at each start.

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { Failure } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import { resolveCapabilities } from "../../../core/spec/capabilities.ts";
import { DEFAULT_SHM_BYTES } from "../../../core/spec/defaults.ts";
import {
  type DockerSpecRequest,
  dockerEnvironment,
  dockerSpec,
  type NamespaceChoice,
} from "../../../core/spec/docker.ts";
import type { Device, DeviceRule, Mount, Rlimit, Seccomp, ThrottleDevice, User } from "../../../core/spec/oci.ts";
import { ociResources, type ThrottleRequest } from "../../../core/spec/resources.ts";
import { defaultSeccomp, readSeccompProfile } from "../../../core/spec/seccomp.ts";
import type { Engine } from "../engine.ts";
import type { HostConfig, Ulimit } from "./config.ts";
import { hostFiles } from "./hostfiles.ts";
import { byDepth } from "./mounts.ts";
import type { ContainerRecord } from "./record.ts";

const UNLIMITED = 0xffffffffffffffffn;

/** The document as JSON, of a process that runs as this user. */
export function specText(engine: Engine, record: ContainerRecord, user: User): string {
  const { config, hostConfig } = record;
  const privileged = hostConfig.Privileged === true;
  const capabilities = resolveCapabilities({
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
    privileged,
    available: engine.host.capabilities,
  });
  const security = readSecurityOptions(hostConfig);
  const console = hostConfig.ConsoleSize;
  const mapped = mappedDevices(hostConfig);
  const request: DockerSpecRequest = {
    args: [record.path, ...record.args],
    env: dockerEnvironment(config.Hostname ?? "", config.Tty === true, config.Env ?? []),
    cwd: config.WorkingDir ?? "",
    user,
    terminal: config.Tty === true,
    consoleSize: console && console[0] > 0 ? { height: console[0], width: console[1] } : null,
    hostname: config.Hostname ?? "",
    domainname: config.Domainname ?? "",
    rootPath: "rootfs",
    readonlyRoot: hostConfig.ReadonlyRootfs === true,
    privileged,
    capabilities,
    noNewPrivileges: security.noNewPrivileges ?? engine.settings.noNewPrivileges,
    seccomp: chooseSeccomp(engine, { privileged, capabilities, profile: security.seccomp }),
    oomScoreAdj: hostConfig.OomScoreAdj ?? 0,
    rlimits: rlimits(engine, hostConfig.Ulimits ?? []),
    namespaces: namespaces(engine, record),
    mounts: specMounts(engine, record),
    shmBytes: hostConfig.ShmSize || engine.settings.defaultShmSize || DEFAULT_SHM_BYTES,
    initPath: (hostConfig.Init ?? engine.settings.init) ? engine.settings.initPath : null,
    devices: privileged ? hostDevices() : mapped.devices,
    deviceRules: [...mapped.rules, ...parseDeviceRules(hostConfig.DeviceCgroupRules ?? [])],
    resources: ociResources(hostConfig, throttles(hostConfig), engine.host.swapLimit),
    cgroupsPath: cgroupsPath(engine, record),
    sysctls: { ...hostConfig.Sysctls },
    maskedPaths: hostConfig.MaskedPaths ?? null,
    readonlyPaths: hostConfig.ReadonlyPaths ?? null,
    annotations: { ...hostConfig.Annotations },
  };
  return formatJson(dockerSpec(request));
}

function cgroupsPath(engine: Engine, record: ContainerRecord): string {
  const parent = record.hostConfig.CgroupParent || engine.settings.cgroupParent || "/docker";
  return `${parent.startsWith("/") ? "" : "/"}${parent}/${record.id}`;
}

function namespaces(engine: Engine, record: ContainerRecord): DockerSpecRequest["namespaces"] {
  const { hostConfig } = record;
  const plain = (text: string | undefined, name: string): NamespaceChoice => {
    if (text === "host") return "host";
    if (text?.startsWith("container:")) return { path: namespaceOf(engine, text.slice("container:".length), name) };
    return "private";
  };
  const cgroupns = hostConfig.CgroupnsMode || engine.settings.cgroupnsMode;
  const cgroupDefault = engine.host.cgroupVersion === 2 && hostConfig.Privileged !== true ? "private" : "host";
  return {
    pid: plain(hostConfig.PidMode, "pid"),
    ipc: plain(hostConfig.IpcMode, "ipc"),
    uts: hostConfig.UTSMode === "host" ? "host" : "private",
    cgroup: cgroupns === "private" || cgroupns === "host" ? cgroupns : cgroupDefault,
    network: networkNamespace(engine, record),
  };
}

function networkNamespace(engine: Engine, record: ContainerRecord): NamespaceChoice {
  const mode = engine.networks.mode(record.hostConfig);
  if (mode.kind === "host") return "host";
  if (mode.kind === "none") return "private";
  if (mode.kind === "bridge") {
    return record.endpoint === null ? "private" : { path: record.endpoint.netnsPath };
  }
  const other = engine.containers.find(mode.reference);
  if (other.record.endpoint !== null) return { path: other.record.endpoint.netnsPath };
  if (engine.networks.mode(other.record.hostConfig).kind === "host") return "host";
  return { path: namespaceOf(engine, mode.reference, "net") };
}

function namespaceOf(engine: Engine, reference: string, name: string): string {
  const other = engine.containers.find(reference);
  if (!other.running) {
    throw new Failure(
      "failed_precondition",
      `cannot join ${name} namespace of a non running container: container /${other.record.name} is ` +
        other.record.state.status,
    );
  }
  return `/proc/${other.record.state.pid}/ns/${name}`;
}

function specMounts(engine: Engine, record: ContainerRecord): Mount[] {
  const mode = engine.networks.mode(record.hostConfig);
  const holder = mode.kind === "container" ? engine.containers.find(mode.reference).id : record.id;
  const files = hostFiles(engine, holder);
  const mounts: Mount[] = [];
  const bind = (destination: string, source: string) => {
    if (record.mounts.some((point) => point.Destination === destination)) return;
    const access = record.hostConfig.ReadonlyRootfs === true ? ["ro"] : [];
    mounts.push({ destination, type: "bind", source, options: ["rbind", "rprivate", ...access] });
  };
  bind("/etc/resolv.conf", files.resolvConf);
  bind("/etc/hostname", files.hostname);
  bind("/etc/hosts", files.hosts);
  for (const point of record.mounts) {
    const [type, source] = point.Type === "tmpfs" ? ["tmpfs", "tmpfs"] : ["bind", point.Source];
    mounts.push({ destination: point.Destination, type, source, options: point.options });
  }
  if (record.hostConfig.IpcMode === "host") {
    mounts.push({ destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rprivate"] });
    mounts.push({ destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue", options: ["rbind", "rprivate"] });
  } else if (record.hostConfig.IpcMode?.startsWith("container:")) {
    const options = ["nosuid", "noexec", "nodev", "mode=1777"];
    mounts.push({ destination: "/dev/shm", type: "tmpfs", source: "shm", options });
  }
  return mounts.toSorted(byDepth);
}

interface SecurityOptions {
  noNewPrivileges: boolean | null;
  /** Null: the default; "unconfined"; else a profile's text. */
  seccomp: string | null;
}

export function readSecurityOptions(hostConfig: HostConfig): SecurityOptions {
  const options: SecurityOptions = { noNewPrivileges: null, seccomp: null };
  for (const text of hostConfig.SecurityOpt ?? []) {
    if (text === "no-new-privileges") {
      options.noNewPrivileges = true;
      continue;
    }
    const separator = text.search(/[=:]/);
    const [key, value] = [text.slice(0, separator), text.slice(separator + 1)];
    if (separator < 0) throw new Failure("invalid_argument", `invalid --security-opt 1: "${text}"`);
    if (key === "no-new-privileges") options.noNewPrivileges = value === "true";
    else if (key === "seccomp") options.seccomp = value === "builtin" ? null : value;
    else if (key !== "apparmor" && key !== "label" && key !== "systempaths" && key !== "writable-cgroups") {
      throw new Failure("invalid_argument", `invalid --security-opt 2: "${text}"`);
    }
  }
  return options;
}

function chooseSeccomp(
  engine: Engine,
  of: { privileged: boolean; capabilities: readonly string[]; profile: string | null },
): Seccomp | null {
  const file = engine.settings.seccompProfile;
  const profile = of.profile ?? (file === "unconfined" ? "unconfined" : null);
  if (profile === "unconfined" || (of.privileged && of.profile === null)) return null;
  if (profile !== null) return readSeccompProfile(profile, of.capabilities);
  if (file !== "" && file !== "builtin") return readSeccompProfile(readFileSync(file, "utf8"), of.capabilities);
  return defaultSeccomp(of.capabilities);
}

function rlimits(engine: Engine, own: readonly Ulimit[]): Rlimit[] {
  const byName = new Map(engine.settings.defaultUlimits.map((limit) => [limit.Name, limit]));
  for (const limit of own) byName.set(limit.Name, limit);
  const value = (amount: number) => (amount < 0 ? UNLIMITED : amount);
  return [...byName.values()].map((limit) => ({
    type: `RLIMIT_${limit.Name.toUpperCase()}`,
    hard: value(limit.Hard),
    soft: value(limit.Soft),
  }));
}

function mappedDevices(hostConfig: HostConfig): { devices: Device[]; rules: DeviceRule[] } {
  const devices: Device[] = [];
  const rules: DeviceRule[] = [];
  for (const mapping of hostConfig.Devices ?? []) {
    const host = mapping.PathOnHost ?? "";
    const found = devicesBelow(host, mapping.PathInContainer || host);
    if (found.length === 0) {
      throw new Failure(
        "invalid_argument",
        `error gathering device information while adding custom device "${host}": no such file or directory`,
      );
    }
    for (const device of found) {
      devices.push(device);
      const access = mapping.CgroupPermissions || "rwm";
      rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access });
    }
  }
  return { devices, rules };
}

/** A device, or all devices in a folder. */
function devicesBelow(path: string, inside: string): Device[] {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (stats.isDirectory()) {
    return readdirSync(path).flatMap((name) => devicesBelow(`${path}/${name}`, `${inside}/${name}`));
  }
  if (stats.isSymbolicLink()) return [];
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return [];
  const { major, minor } = deviceNumbers(stats.rdev);
  const type = stats.isBlockDevice() ? "b" : "c";
  return [{ path: inside, type, major, minor, fileMode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid }];
}

/** All devices of the host, for --privileged, without those that every container has of its own. */
function hostDevices(): Device[] {
  const own = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];
  return readdirSync("/dev")
    .filter((name) => !own.includes(name))
    .flatMap((name) => devicesBelow(`/dev/${name}`, `/dev/${name}`));
}

export function deviceNumbers(rdev: number): { major: number; minor: number } {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & ~0xfffn);
  const minor = (value & 0xffn) | ((value >> 12n) & ~0xffn & 0xffffffffn);
  return { major: Number(major), minor: Number(minor) };
}

function parseDeviceRules(texts: readonly string[]): DeviceRule[] {
  return texts.map((text) => {
    const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
    if (match === null) throw new Failure("invalid_argument", `invalid device cgroup rule format: '${text}'`);
    const number = (value: string) => (value === "*" ? -1 : Number(value));
    return { allow: true, type: match[1]!, major: number(match[2]!), minor: number(match[3]!), access: match[4]! };
  });
}

function throttles(hostConfig: HostConfig): ThrottleRequest {
  const numbers = (path: string) => {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) throw new Failure("invalid_argument", `stat ${path}: no such file or directory`);
    return deviceNumbers(stats.rdev);
  };
  const rates = (entries: readonly { Path: string; Rate: number }[] | null | undefined): ThrottleDevice[] =>
    (entries ?? []).map((entry) => ({ ...numbers(entry.Path), rate: entry.Rate }));
  return {
    readBps: rates(hostConfig.BlkioDeviceReadBps),
    writeBps: rates(hostConfig.BlkioDeviceWriteBps),
    readIops: rates(hostConfig.BlkioDeviceReadIOps),
    writeIops: rates(hostConfig.BlkioDeviceWriteIOps),
    weights: (hostConfig.BlkioWeightDevice ?? []).map((entry) => ({ ...numbers(entry.Path), weight: entry.Weight })),
  };
}
