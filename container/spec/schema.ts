// config.json of an OCI bundle (runtime-spec 1.3, Linux): which fields there are, their types and defaults.
// Seccomp is kept as it stands: its compiled form usually comes from a cache, and then nobody reads it.

import {
  flag,
  int32,
  int64,
  list,
  map,
  oneOf,
  optional,
  or,
  type Read,
  raw,
  record,
  text,
  uint16,
  uint32,
  uint64,
} from "./fields.ts";

const user = record({
  uid: or(uint32, 0),
  gid: or(uint32, 0),
  umask: optional(uint32),
  additionalGids: list(uint32),
});

const capabilities = record({
  bounding: list(text),
  effective: list(text),
  inheritable: list(text),
  permitted: list(text),
  ambient: list(text),
});

const scheduler = record({
  policy: text,
  nice: or(int32, 0),
  priority: or(int32, 0),
  flags: list(text),
  runtime: or(uint64, 0n),
  deadline: or(uint64, 0n),
  period: or(uint64, 0n),
});

/** A process of the container: `process` of config.json, and the file of `exec --process`. */
export const readProcess = record({
  terminal: or(flag, false),
  consoleSize: optional(record({ height: or(uint32, 0), width: or(uint32, 0) })),
  user: or(user, { uid: 0, gid: 0, umask: null, additionalGids: [] }),
  args: list(text),
  env: list(text),
  cwd: or(text, ""),
  capabilities: optional(capabilities),
  rlimits: list(record({ type: text, soft: or(uint64, 0n), hard: or(uint64, 0n) })),
  noNewPrivileges: or(flag, false),
  apparmorProfile: or(text, ""),
  oomScoreAdj: optional(int32),
  selinuxLabel: or(text, ""),
  scheduler: optional(scheduler),
  ioPriority: optional(record({ class: text, priority: or(int32, 0) })),
  execCPUAffinity: optional(record({ initial: or(text, ""), final: or(text, "") })),
});

const idMapping = record({ containerID: or(uint32, 0), hostID: or(uint32, 0), size: or(uint32, 0) });

const mount = record({
  destination: text,
  type: or(text, ""),
  source: or(text, ""),
  options: list(text),
  uidMappings: list(idMapping),
  gidMappings: list(idMapping),
});

const hook = record({ path: text, args: list(text), env: optional(list(text)), timeout: optional(int32) });

const hooks = record({
  prestart: list(hook),
  createRuntime: list(hook),
  createContainer: list(hook),
  startContainer: list(hook),
  poststart: list(hook),
  poststop: list(hook),
});

const deviceRule = record({
  allow: or(flag, false),
  type: or(text, ""),
  major: optional(int64),
  minor: optional(int64),
  access: or(text, ""),
});

const weightDevice = record({
  major: int64,
  minor: int64,
  weight: optional(uint16),
  leafWeight: optional(uint16),
});
const throttleDevice = record({ major: int64, minor: int64, rate: or(uint64, 0n) });

const memory = record({
  limit: optional(int64),
  reservation: optional(int64),
  swap: optional(int64),
  kernel: optional(int64),
  kernelTCP: optional(int64),
  swappiness: optional(uint64),
  disableOOMKiller: optional(flag),
  useHierarchy: optional(flag),
  checkBeforeUpdate: optional(flag),
});

const cpu = record({
  shares: optional(uint64),
  quota: optional(int64),
  burst: optional(uint64),
  period: optional(uint64),
  realtimeRuntime: optional(int64),
  realtimePeriod: optional(uint64),
  cpus: or(text, ""),
  mems: or(text, ""),
  idle: optional(int64),
});

const blockIO = record({
  weight: optional(uint16),
  leafWeight: optional(uint16),
  weightDevice: list(weightDevice),
  throttleReadBpsDevice: list(throttleDevice),
  throttleWriteBpsDevice: list(throttleDevice),
  throttleReadIOPSDevice: list(throttleDevice),
  throttleWriteIOPSDevice: list(throttleDevice),
});

/** `linux.resources`, and the file of `update --resources`. */
export const readResources = record({
  devices: list(deviceRule),
  memory: optional(memory),
  cpu: optional(cpu),
  pids: optional(record({ limit: or(int64, 0n) })),
  blockIO: optional(blockIO),
  hugepageLimits: list(record({ pageSize: text, limit: or(uint64, 0n) })),
  network: optional(
    record({ classID: optional(uint32), priorities: list(record({ name: text, priority: or(uint32, 0) })) }),
  ),
  rdma: map(record({ hcaHandles: optional(uint32), hcaObjects: optional(uint32) })),
  unified: map(text),
});

const device = record({
  path: text,
  type: text,
  major: or(int64, 0n),
  minor: or(int64, 0n),
  fileMode: optional(uint32),
  uid: optional(uint32),
  gid: optional(uint32),
});

const namespaceEntry = record({ type: text, path: or(text, "") });

const intelRdt = record({
  closID: or(text, ""),
  schemata: list(text),
  l3CacheSchema: or(text, ""),
  memBwSchema: or(text, ""),
  enableMonitoring: or(flag, false),
});

const linux = record({
  namespaces: list(namespaceEntry),
  uidMappings: list(idMapping),
  gidMappings: list(idMapping),
  timeOffsets: map(record({ secs: or(int64, 0n), nanosecs: or(uint32, 0) })),
  devices: list(device),
  netDevices: map(record({ name: or(text, "") })),
  cgroupsPath: or(text, ""),
  resources: optional(readResources),
  rootfsPropagation: or(text, ""),
  seccomp: raw,
  sysctl: map(text),
  maskedPaths: list(text),
  readonlyPaths: list(text),
  mountLabel: or(text, ""),
  personality: optional(record({ domain: oneOf("LINUX", "LINUX32"), flags: list(text) })),
  intelRdt: optional(intelRdt),
  memoryPolicy: optional(record({ mode: or(text, ""), nodes: or(text, ""), flags: list(text) })),
});

export const readSpec = record({
  ociVersion: or(text, ""),
  process: optional(readProcess),
  root: optional(record({ path: or(text, ""), readonly: or(flag, false) })),
  hostname: or(text, ""),
  domainname: or(text, ""),
  mounts: list(mount),
  hooks: optional(hooks),
  annotations: map(text),
  linux: optional(linux),
});

export type Spec = Read<typeof readSpec>;
export type ProcessSpec = Read<typeof readProcess>;
export type CapabilitySpec = Read<typeof capabilities>;
export type MountSpec = Read<typeof mount>;
export type HookSpec = Read<typeof hook>;
export type Hooks = Read<typeof hooks>;
export type LinuxSpec = Read<typeof linux>;
export type Resources = Read<typeof readResources>;
export type DeviceRule = Read<typeof deviceRule>;
export type DeviceSpec = Read<typeof device>;
export type MappingSpec = Read<typeof idMapping>;
