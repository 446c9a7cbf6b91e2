// The body of POST /containers/create from the flags of run and create. Fields stand as the original client sends them,
// the empty ones too; test/swap compares the two.

import type {
  ContainerConfig,
  CreateContainerRequest,
  HealthConfig,
  HostConfig,
  Resources,
} from "../../../api/engine/container.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { quote } from "../../../base/flags/go.ts";
import { formatJson, parseJson } from "../../../base/json.ts";
import type { Runtime } from "../../../base/runtime.ts";
import { fileSentence } from "../cli.ts";
import type { ContainerFlags } from "./containerFlags.ts";
import { checkMac, emptyAttachment, type NetworkAttachment, networkingConfig } from "./network.ts";
import { addExposed, type PublishedPorts, parsePublished } from "./publish.ts";
import { checkDevice, parseDevice, parseRestart, readKeyFile, toMap } from "./values.ts";

const MAX_PROFILE_BYTES = 4 * 1024 * 1024;

/** `args` are the image and the command. Throws plain errors with the original's words. */
export function containerBody(
  flags: ContainerFlags,
  args: readonly string[],
  runtime: Runtime,
): CreateContainerRequest {
  const swappiness = flags.memorySwappiness.value;
  if (swappiness !== -1 && (swappiness < 0 || swappiness > 100)) {
    throw new Error(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  }
  const ports = parsePublished(flags.publish.value);
  addExposed(ports, flags.expose.value);
  const attachments = attachmentsOf(flags);
  const hostConfig = hostConfigOf(flags, runtime, ports);
  hostConfig.NetworkMode = attachments[0]!.target;
  if (flags.autoRemove.value && !["", "no"].includes(hostConfig.RestartPolicy.Name)) {
    throw new Error("conflicting options: cannot specify both --restart and --rm");
  }
  const { binds, volumes } = splitVolumes(flags.volume.value, runtime);
  hostConfig.Binds = binds.length === 0 ? null : binds;
  const config = configOf(flags, args, runtime);
  if (Object.keys(ports.exposed).length > 0) config.ExposedPorts = ports.exposed;
  config.Volumes = volumes;
  return {
    ...config,
    HostConfig: hostConfig,
    NetworkingConfig: networkingConfig(attachments, flags.network.value.length + flags.net.value.length),
  };
}

function configOf(flags: ContainerFlags, args: readonly string[], runtime: Runtime): ContainerConfig {
  const lookUp = (name: string) => runtime.env[name];
  const env = [...flags.envFile.value.flatMap((path) => readKeyFile(runtime, path, lookUp)), ...flags.env.value];
  const labels = [
    ...flags.labelFile.value.flatMap((path) => readKeyFile(runtime, path, () => undefined)),
    ...flags.label.value,
  ];
  const attach = flags.attach.value;
  const all = attach.length === 0;
  const stdin = attach.includes("stdin") || (all && flags.interactive.value);
  const health = healthOf(flags);
  return {
    Hostname: flags.hostname.value,
    Domainname: flags.domainname.value,
    User: flags.user.value,
    AttachStdin: stdin,
    AttachStdout: all || attach.includes("stdout"),
    AttachStderr: all || attach.includes("stderr"),
    Tty: flags.tty.value,
    OpenStdin: flags.interactive.value,
    StdinOnce: flags.interactive.value && stdin,
    Env: env.length === 0 ? null : env,
    Cmd: args.length > 1 ? args.slice(1) : null,
    ...(health === null ? {} : { Healthcheck: health }),
    Image: args[0]!,
    Volumes: {},
    WorkingDir: flags.workdir.value,
    Entrypoint: flags.entrypoint.changed ? [flags.entrypoint.value] : null,
    OnBuild: null,
    Labels: toMap(labels),
    ...(flags.stopSignal.value === "" ? {} : { StopSignal: flags.stopSignal.value }),
    ...(flags.stopTimeout.changed ? { StopTimeout: flags.stopTimeout.value } : {}),
  };
}

function healthOf(flags: ContainerFlags): HealthConfig | null {
  const { healthCmd, healthInterval, healthTimeout, healthStartPeriod, healthStartInterval, healthRetries } = flags;
  const times = [healthInterval, healthTimeout, healthStartPeriod, healthStartInterval];
  const given = healthCmd.value !== "" || healthRetries.value !== 0 || times.some((flag) => flag.value !== 0);
  if (flags.noHealthcheck.value) {
    if (given) throw new Error("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (!given) return null;
  const names = ["--health-interval", "--health-timeout", "--health-start-period", "--health-start-interval"];
  times.forEach((flag, at) => {
    if (flag.value < 0) throw new Error(`${names[at]} cannot be negative`);
  });
  if (healthRetries.value < 0) throw new Error("--health-retries cannot be negative");
  const health: HealthConfig = healthCmd.value === "" ? {} : { Test: ["CMD-SHELL", healthCmd.value] };
  if (healthInterval.value !== 0) health.Interval = healthInterval.value;
  if (healthTimeout.value !== 0) health.Timeout = healthTimeout.value;
  if (healthStartPeriod.value !== 0) health.StartPeriod = healthStartPeriod.value;
  if (healthStartInterval.value !== 0) health.StartInterval = healthStartInterval.value;
  if (healthRetries.value !== 0) health.Retries = healthRetries.value;
  return health;
}

function hostConfigOf(flags: ContainerFlags, runtime: Runtime, ports: PublishedPorts): HostConfig {
  checkModes(flags);
  const security = securityOf(flags.securityOptions.value, runtime);
  const logOptions = toMap(flags.logOptions.value);
  if (flags.logDriver.value === "none" && flags.logOptions.value.length > 0) {
    throw new Error(`invalid logging opts for driver none`);
  }
  const tmpfs = tmpfsOf(flags.tmpfs.value);
  return {
    Binds: null,
    ContainerIDFile: flags.cidfile.value,
    LogConfig: { Type: flags.logDriver.value, Config: logOptions },
    NetworkMode: "default",
    PortBindings: ports.bindings,
    RestartPolicy: parseRestart(flags.restart.value),
    AutoRemove: flags.autoRemove.value,
    VolumeDriver: flags.volumeDriver.value,
    VolumesFrom: orNull(flags.volumesFrom.value),
    ConsoleSize: [0, 0],
    ...mapField("Annotations", Object.fromEntries(flags.annotation.value)),
    ...capabilitiesOf(flags.capAdd.value, flags.capDrop.value),
    CgroupnsMode: flags.cgroupns.value,
    Dns: flags.dns.value,
    DnsOptions: [...flags.dnsOption.value, ...flags.dnsOpt.value],
    DnsSearch: flags.dnsSearch.value,
    ExtraHosts: orNull(flags.addHost.value),
    GroupAdd: orNull(flags.groupAdd.value),
    IpcMode: flags.ipc.value,
    Cgroup: "",
    Links: orNull(flags.link.value),
    OomScoreAdj: flags.oomScoreAdj.value,
    PidMode: flags.pid.value,
    Privileged: flags.privileged.value,
    PublishAllPorts: flags.publishAll.value,
    ReadonlyRootfs: flags.readOnly.value,
    SecurityOpt: flags.securityOptions.value.length === 0 ? null : security.options,
    ...mapField("StorageOpt", storageOf(flags.storageOptions.value)),
    ...mapField("Tmpfs", tmpfs),
    UTSMode: flags.uts.value,
    UsernsMode: flags.userns.value,
    ShmSize: flags.shmSize.value,
    ...mapField("Sysctls", toMap(flags.sysctl.value)),
    ...(flags.runtime.value === "" ? {} : { Runtime: flags.runtime.value }),
    Isolation: flags.isolation.value,
    ...resourcesOf(flags),
    ...(flags.mount.value.length === 0 ? {} : { Mounts: flags.mount.value }),
    MaskedPaths: security.unconfinedPaths ? [] : null,
    ReadonlyPaths: security.unconfinedPaths ? [] : null,
    ...(flags.init.changed ? { Init: flags.init.value } : {}),
  };
}

function resourcesOf(flags: ContainerFlags): Resources {
  return {
    CpuShares: flags.cpuShares.value,
    Memory: flags.memory.value,
    NanoCpus: flags.cpus.value,
    CgroupParent: flags.cgroupParent.value,
    BlkioWeight: flags.blkioWeight.value,
    BlkioWeightDevice: flags.blkioWeightDevice.value,
    BlkioDeviceReadBps: flags.readBps.value,
    BlkioDeviceWriteBps: flags.writeBps.value,
    BlkioDeviceReadIOps: flags.readIops.value,
    BlkioDeviceWriteIOps: flags.writeIops.value,
    CpuPeriod: flags.cpuPeriod.value,
    CpuQuota: flags.cpuQuota.value,
    CpuRealtimePeriod: flags.cpuRtPeriod.value,
    CpuRealtimeRuntime: flags.cpuRtRuntime.value,
    CpusetCpus: flags.cpusetCpus.value,
    CpusetMems: flags.cpusetMems.value,
    Devices: flags.device.value.map((device) => parseDevice(checkDevice(device))),
    DeviceCgroupRules: orNull(flags.deviceCgroupRule.value),
    DeviceRequests: orNull(flags.gpus.value),
    ...(flags.kernelMemory.value === 0 ? {} : { KernelMemory: flags.kernelMemory.value }),
    MemoryReservation: flags.memoryReservation.value,
    MemorySwap: flags.memorySwap.value,
    MemorySwappiness: flags.memorySwappiness.value,
    OomKillDisable: flags.oomKillDisable.value,
    PidsLimit: flags.pidsLimit.value,
    CpuCount: flags.cpuCount.value,
    CpuPercent: flags.cpuPercent.value,
    IOMaximumIOps: flags.ioMaxIops.value,
    IOMaximumBandwidth: flags.ioMaxBandwidth.value,
    Ulimits: [...flags.ulimit.value].sort((a, b) => (a.Name < b.Name ? -1 : 1)),
  };
}

function checkModes(flags: ContainerFlags): void {
  const container = (mode: string) => !mode.startsWith("container:") || mode.length > "container:".length;
  const { pid, uts, userns, cgroupns } = flags;
  if (!(["", "host"].includes(pid.value) || (pid.value.startsWith("container:") && container(pid.value)))) {
    throw new Error("--pid: invalid PID mode");
  }
  if (!["", "host"].includes(uts.value)) throw new Error("--uts: invalid UTS mode");
  if (!["", "host"].includes(userns.value)) throw new Error("--userns: invalid USER mode");
  if (!["", "host", "private"].includes(cgroupns.value)) throw new Error("--cgroupns: invalid CGROUP mode");
}

function attachmentsOf(flags: ContainerFlags): NetworkAttachment[] {
  const given = [...flags.network.value, ...flags.net.value];
  const first: NetworkAttachment = { ...(given[0] ?? emptyAttachment("default")) };
  const { networkAlias, ip, ip6, link, linkLocal, mac } = flags;
  const conflict = (what: string) => new Error(`conflicting options: cannot specify both ${what}`);
  if (networkAlias.value.length > 0) {
    if (first.aliases.length > 0) throw conflict("--network-alias and per-network alias");
    first.aliases = networkAlias.value;
  }
  if (ip.value !== "") {
    if (first.ip !== "") throw conflict("--ip and per-network IPv4 address");
    first.ip = ip.value;
  }
  if (ip6.value !== "") {
    if (first.ip6 !== "") throw conflict("--ip6 and per-network IPv6 address");
    first.ip6 = ip6.value;
  }
  if (linkLocal.value.length > 0) first.linkLocal = linkLocal.value;
  if (mac.value !== "") first.mac = checkMac(mac.value);
  if (link.value.length > 0 && !["default", "bridge", "none", "host"].includes(first.target)) first.links = link.value;
  return [first, ...given.slice(1)];
}

function splitVolumes(specs: readonly string[], runtime: Runtime) {
  const binds: string[] = [];
  const volumes: Record<string, object> = {};
  for (const spec of new Set(specs)) {
    if (spec === "") throw new Error("invalid empty volume spec");
    const colon = spec.indexOf(":");
    if (colon < 0) {
      volumes[spec] = {};
      continue;
    }
    const source = spec.slice(0, colon);
    const relative = source.startsWith(".");
    const path = relative ? absolutePath(runtime.files.workingDirectory, source) : source;
    binds.push(`${path}${spec.slice(colon)}`);
  }
  return { binds, volumes };
}

/** Joins and tidies "." and "..", as filepath.Abs does. */
export function absolutePath(base: string, path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${base}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function tmpfsOf(specs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    specs.map((spec) => {
      const colon = spec.indexOf(":");
      return colon < 0 ? [spec, ""] : [spec.slice(0, colon), spec.slice(colon + 1)];
    }),
  );
}

/** Upper case with CAP_, sorted, each once; ALL makes the others of its list needless. */
function capabilitiesOf(add: readonly string[], drop: readonly string[]) {
  const normal = (names: readonly string[]) => {
    const upper = names.map((name) => name.trim().toUpperCase());
    const all = upper.some((name) => name === "ALL" || name === "CAP_ALL");
    if (all) return ["ALL"];
    return [...new Set(upper.map((name) => (name.startsWith("CAP_") ? name : `CAP_${name}`)))].sort();
  };
  const added = normal(add);
  const dropped = normal(drop).filter((name) => name === "ALL" || !added.includes(name));
  return { CapAdd: orNull(added), CapDrop: orNull(dropped) };
}

function storageOf(options: readonly string[]): Record<string, string> {
  if (options.some((option) => !option.includes("="))) throw new Error("invalid storage option");
  return toMap(options);
}

function securityOf(options: readonly string[], runtime: Runtime): { options: string[]; unconfinedPaths: boolean } {
  let unconfinedPaths = false;
  const kept: string[] = [];
  for (const option of options) {
    if (option === "systempaths=unconfined") {
      unconfinedPaths = true;
      continue;
    }
    if (option === "no-new-privileges" || option === "writable-cgroups") {
      kept.push(option);
      continue;
    }
    const match = /^([^=:]*)[=:](.*)$/s.exec(option);
    if (match === null) throw new Error(`Invalid --security-opt: ${quote(option)}`);
    const [, name, value] = match as unknown as [string, string, string];
    if (name === "seccomp" && value !== "unconfined" && value !== "builtin")
      kept.push(`seccomp=${readProfile(value, runtime)}`);
    else kept.push(option);
  }
  return { options: kept, unconfinedPaths };
}

function readProfile(path: string, runtime: Runtime): string {
  const failed = (reason: string) => new Error(`opening seccomp profile (${path}) failed: ${reason}`);
  let content: Uint8Array | null;
  try {
    content = runtime.files.read(path, MAX_PROFILE_BYTES);
  } catch (thrown) {
    throw failed(fileSentence(thrown, "open", path));
  }
  if (content === null) throw failed(`open ${path}: no such file or directory`);
  try {
    return formatJson(parseJson(decodeUtf8(content)));
  } catch (thrown) {
    throw new Error(`compacting json for seccomp profile (${path}) failed: ${(thrown as Error).message}`);
  }
}

function orNull<Entry>(list: Entry[]): Entry[] | null {
  return list.length === 0 ? null : list;
}

function mapField<Name extends string>(
  name: Name,
  map: Record<string, string>,
): { [key in Name]?: Record<string, string> } {
  return Object.keys(map).length === 0 ? {} : ({ [name]: map } as { [key in Name]: Record<string, string> });
}
