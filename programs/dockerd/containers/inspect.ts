// GET /containers/{id}/json and one line of the list: what the record and the live state look like on the wire.

import type {
  ContainerConfig,
  ContainerInspect,
  ContainerSummary,
  EndpointSettings,
  HostConfig,
  Port,
  PortMap,
  MountPoint as WireMountPoint,
} from "../../../api/engine/container.ts";
import type { Engine } from "../engine.ts";
import { parsePort } from "../networks/networks.ts";
import type { Container } from "./container.ts";
import { hostFiles } from "./hostfiles.ts";
import type { ContainerRecord, MountPoint } from "./record.ts";
import { statusText } from "./status.ts";

export interface Sizes {
  rw: number;
  rootFs: number;
}

export function inspectContainer(engine: Engine, container: Container, sizes: Sizes | null): ContainerInspect {
  const { record } = container;
  const { state } = record;
  const mode = engine.networks.mode(record.hostConfig);
  const holder = mode.kind === "container" ? (engine.containers.get(mode.reference)?.id ?? record.id) : record.id;
  const files = hostFiles(engine, holder);
  const execs = [...container.execs].filter((id) => engine.execs.get(id)?.state === "running");
  return {
    Id: record.id,
    Created: record.createdAt,
    Path: record.path,
    Args: record.args,
    State: {
      Status: state.status,
      Running: state.status === "running" || state.status === "paused" || state.status === "restarting",
      Paused: state.status === "paused",
      Restarting: state.status === "restarting",
      OOMKilled: state.oomKilled,
      Dead: state.status === "dead",
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedAt,
      FinishedAt: state.finishedAt,
      ...(container.health === null ? {} : { Health: container.health }),
    },
    Image: record.imageId,
    ResolvConfPath: files.resolvConf,
    HostnamePath: files.hostname,
    HostsPath: files.hosts,
    // Of the other drivers the original tells no path.
    LogPath: record.logDriver === "json-file" ? record.logPath : "",
    Name: `/${record.name}`,
    RestartCount: state.restartCount,
    Driver: record.snapshotter,
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: execs.length === 0 ? null : execs,
    HostConfig: wireHostConfig(record.hostConfig),
    Storage: { RootFS: { Snapshot: { Name: record.snapshotter } } },
    GraphDriver: { Name: record.snapshotter, Data: null },
    ...(sizes === null ? {} : { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Mounts: record.mounts.filter((point) => point.Type !== "tmpfs" || point.fromMounts).map(wireMount),
    Config: wireConfig(record),
    NetworkSettings: networkSettings(engine, record),
  };
}

export function summarise(engine: Engine, container: Container, sizes: Sizes | null): ContainerSummary {
  const { record } = container;
  const settings = networkSettings(engine, record);
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: record.imageName,
    ImageID: record.imageId,
    Command: [record.path, ...record.args].map(quoteArgument).join(" "),
    Created: Math.floor(Date.parse(record.createdAt) / 1000),
    Ports: portList(record),
    ...(sizes === null ? {} : { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Labels: record.config.Labels ?? {},
    State: record.state.status,
    Status: statusText(record.state, container.health?.Status ?? null, engine.clock.now()),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode ?? "" },
    ...(container.health === null
      ? {}
      : { Health: { Status: container.health.Status, FailingStreak: container.health.FailingStreak } }),
    NetworkSettings: { Networks: settings.Networks },
    Mounts: record.mounts.filter((point) => point.Type !== "tmpfs" || point.fromMounts).map(wireMount),
  };
}

/** As the original prints a command: words with spaces in single quotes. */
function quoteArgument(word: string): string {
  return /[\s]/.test(word) ? `'${word}'` : word;
}

function wireMount(point: MountPoint): WireMountPoint {
  const { Type, Name, Source, Destination, Driver, Mode, RW, Propagation } = point;
  return {
    Type,
    ...(Name === "" ? {} : { Name }),
    Source,
    Destination,
    ...(Driver === "" ? {} : { Driver }),
    Mode,
    RW,
    Propagation,
  };
}

/** All fields the original sends, in its order, with what was given on top. */
function wireConfig(record: ContainerRecord): ContainerConfig {
  const { config } = record;
  const full: ContainerConfig = {
    Hostname: "",
    Domainname: "",
    User: "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: null,
    Cmd: null,
    Image: "",
    Volumes: null,
    WorkingDir: "",
    Entrypoint: null,
    OnBuild: null,
    Labels: {},
  };
  const given = Object.entries(config).filter(([, value]) => value !== undefined && value !== null);
  Object.assign(full, Object.fromEntries(given));
  if (Object.keys(full.ExposedPorts ?? {}).length === 0) delete full.ExposedPorts;
  if (Object.keys(full.Volumes ?? {}).length === 0) full.Volumes = null;
  return full;
}

function wireHostConfig(given: Partial<HostConfig>): HostConfig {
  const full: HostConfig = {
    Binds: null,
    ContainerIDFile: "",
    LogConfig: { Type: "json-file", Config: {} },
    NetworkMode: "",
    PortBindings: {},
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    AutoRemove: false,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    CgroupnsMode: "",
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    GroupAdd: null,
    IpcMode: "private",
    Cgroup: "",
    Links: null,
    OomScoreAdj: 0,
    PidMode: "",
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: "",
    UsernsMode: "",
    ShmSize: 0,
    Runtime: "runc",
    Isolation: "",
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: "",
    BlkioWeight: 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: "",
    CpusetMems: "",
    Devices: [],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    Ulimits: null,
    MaskedPaths: null,
    ReadonlyPaths: null,
  };
  const own = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  return Object.assign(full, Object.fromEntries(own));
}

function networkSettings(engine: Engine, record: ContainerRecord): ContainerInspect["NetworkSettings"] {
  const { endpoint } = record;
  const mode = engine.networks.mode(record.hostConfig);
  const networks: Record<string, EndpointSettings> = {};
  if (mode.kind !== "container") networks[mode.kind] = endpointSettings(engine, record, mode.kind);
  const ports = portMap(record);
  const address = endpoint === null ? {} : networks["bridge"]!;
  const {
    Gateway = "",
    IPAddress = "",
    IPPrefixLen = 0,
    MacAddress = "",
    EndpointID = "",
  } = address as Partial<EndpointSettings>;
  return {
    Bridge: "",
    SandboxID: endpoint === null ? "" : record.id,
    SandboxKey: endpoint?.netnsPath ?? "",
    Ports: ports,
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID,
    Gateway,
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    IPAddress,
    IPPrefixLen,
    IPv6Gateway: "",
    MacAddress,
    Networks: networks,
  };
}

function endpointSettings(engine: Engine, record: ContainerRecord, name: string): EndpointSettings {
  const { endpoint } = record;
  const running = record.state.pid !== 0;
  const network = running ? (engine.networks.list().find((one) => one.name === name)?.id ?? "") : "";
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: null,
    MacAddress: endpoint?.mac ?? "",
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: network,
    EndpointID: endpoint?.endpointId ?? "",
    Gateway: endpoint?.gateway ?? "",
    IPAddress: endpoint?.address ?? "",
    IPPrefixLen: endpoint?.prefixLength ?? 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}

function portMap(record: ContainerRecord): PortMap {
  const map: PortMap = {};
  if (record.endpoint === null) return map;
  for (const port of Object.keys(record.config.ExposedPorts ?? {})) map[port] = null;
  for (const { protocol, containerPort, hostIp, hostPort } of record.endpoint.ports) {
    const key = `${containerPort}/${protocol}`;
    const list = map[key] ?? [];
    list.push({ HostIp: hostIp === "" ? "0.0.0.0" : hostIp, HostPort: String(hostPort) });
    map[key] = list;
  }
  return map;
}

function portList(record: ContainerRecord): Port[] {
  const ports: Port[] = [];
  if (record.state.pid === 0) return ports;
  for (const [key, bindings] of Object.entries(portMap(record))) {
    const { protocol, number } = parsePort(key);
    if (bindings === null) ports.push({ PrivatePort: number, Type: protocol });
    for (const binding of bindings ?? []) {
      ports.push({ IP: binding.HostIp, PrivatePort: number, PublicPort: Number(binding.HostPort), Type: protocol });
    }
  }
  return ports;
}
