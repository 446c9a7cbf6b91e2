// The OCI document of a Docker container, built from a request in which everything is already looked up: user ids,
// mount sources, namespace paths. Pure: the same request always gives the same document, so that dockerd can tell by
// comparing whether a stored document is still true.

import { processCapabilities } from "./capabilities.ts";
import {
  DEFAULT_PATH,
  defaultDeviceRules,
  defaultMounts,
  MASKED_PATHS,
  NETWORK_SYSCTLS,
  OCI_VERSION,
  READONLY_PATHS,
} from "./defaults.ts";
import type {
  Device,
  DeviceRule,
  Linux,
  Mount,
  Namespace,
  Process,
  Resources,
  Rlimit,
  Seccomp,
  Spec,
  User,
} from "./oci.ts";

/** A namespace of the container's own, the host's, or one that exists at a path. */
export type NamespaceChoice = "private" | "host" | { path: string };

export interface DockerSpecRequest {
  args: string[];
  env: string[];
  cwd: string;
  user: User;
  terminal: boolean;
  consoleSize: { height: number; width: number } | null;
  hostname: string;
  domainname: string;
  rootPath: string;
  readonlyRoot: boolean;
  privileged: boolean;
  /** The bounding set, from resolveCapabilities. */
  capabilities: string[];
  noNewPrivileges: boolean;
  seccomp: Seccomp | null;
  oomScoreAdj: number;
  rlimits: Rlimit[];
  namespaces: Record<"pid" | "network" | "ipc" | "uts" | "cgroup", NamespaceChoice>;
  /** Bind mounts, volumes and tmpfs, in the order of depth; they win over defaults at the same place. */
  mounts: Mount[];
  shmBytes: number;
  /** A docker-init to run as process 1; its path on the host. */
  initPath: string | null;
  devices: Device[];
  deviceRules: DeviceRule[];
  resources: Resources;
  cgroupsPath: string;
  sysctls: Record<string, string>;
  /** Null means the defaults (none when privileged). */
  maskedPaths: string[] | null;
  readonlyPaths: string[] | null;
  annotations: Record<string, string>;
}

const INIT_DESTINATION = "/sbin/docker-init";

export function dockerSpec(request: DockerSpecRequest): Spec {
  const spec: Spec = {
    ociVersion: OCI_VERSION,
    process: dockerProcess(request),
    root: { path: request.rootPath, readonly: request.readonlyRoot },
    mounts: mounts(request),
    linux: linux(request),
  };
  if (request.namespaces.uts !== "host") {
    spec.hostname = request.hostname;
    if (request.domainname !== "") spec.domainname = request.domainname;
  }
  if (Object.keys(request.annotations).length > 0) spec.annotations = request.annotations;
  return spec;
}

function dockerProcess(request: DockerSpecRequest): Process {
  const init = request.initPath !== null && request.namespaces.pid === "private";
  const process: Process = {
    terminal: request.terminal,
    user: request.user,
    args: init ? [INIT_DESTINATION, "--", ...request.args] : request.args,
    env: request.env,
    cwd: request.cwd === "" ? "/" : request.cwd,
    capabilities: processCapabilities(request.capabilities, request.user.uid),
    noNewPrivileges: request.noNewPrivileges,
    oomScoreAdj: request.oomScoreAdj,
  };
  if (request.rlimits.length > 0) process.rlimits = request.rlimits;
  if (request.terminal && request.consoleSize !== null) process.consoleSize = request.consoleSize;
  return process;
}

/** PATH first, HOSTNAME, TERM for a terminal, then the image's and the user's; a later name replaces an earlier one. */
export function dockerEnvironment(hostname: string, terminal: boolean, wanted: readonly string[]): string[] {
  const env = [DEFAULT_PATH, `HOSTNAME=${hostname}`];
  if (terminal) env.push("TERM=xterm");
  return replaceEnvironment(env, wanted);
}

/** A bare NAME takes the variable away, as Docker does it. */
export function replaceEnvironment(base: readonly string[], wanted: readonly string[]): string[] {
  const env = [...base];
  for (const entry of wanted) {
    const equals = entry.indexOf("=");
    const name = equals < 0 ? entry : entry.slice(0, equals);
    const at = env.findIndex((known) => known === name || known.startsWith(`${name}=`));
    if (equals < 0) {
      if (at >= 0) env.splice(at, 1);
    } else if (at >= 0) env[at] = entry;
    else env.push(entry);
  }
  return env;
}

function mounts(request: DockerSpecRequest): Mount[] {
  const own = request.mounts.map((entry) => entry.destination);
  const base = defaultMounts(request.shmBytes).filter((entry) => keepDefault(entry, own, request));
  for (const entry of base) entry.options = entry.options!.filter((option) => !writable(entry, option, request));
  if (request.readonlyRoot) for (const entry of base) lock(entry);
  const list = [...base, ...request.mounts];
  if (request.initPath !== null && request.namespaces.pid === "private") {
    list.push({ destination: INIT_DESTINATION, type: "bind", source: request.initPath, options: ["bind", "ro"] });
  }
  return list;
}

function keepDefault(entry: Mount, own: readonly string[], request: DockerSpecRequest): boolean {
  if (own.includes(entry.destination)) return false;
  // A mount of the user's over /dev takes everything that would lie below it with it.
  if (entry.destination.startsWith("/dev/") && own.includes("/dev")) return false;
  const foreignIpc = request.namespaces.ipc !== "private";
  if (foreignIpc && (entry.destination === "/dev/shm" || entry.destination === "/dev/mqueue")) {
    return false;
  }
  return true;
}

function writable(entry: Mount, option: string, request: DockerSpecRequest): boolean {
  if (!request.privileged || option !== "ro") return false;
  return entry.type === "sysfs" || entry.type === "cgroup";
}

/** Under a read-only root the defaults follow, apart from those that programs must write to. */
function lock(entry: Mount): void {
  const free = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];
  if (!free.includes(entry.destination) && !entry.options!.includes("ro")) entry.options!.push("ro");
}

function linux(request: DockerSpecRequest): Linux {
  const { privileged, namespaces } = request;
  const sysctl: Record<string, string> = {};
  if (namespaces.network !== "host") Object.assign(sysctl, NETWORK_SYSCTLS);
  Object.assign(sysctl, request.sysctls);
  const rules = privileged ? [{ allow: true, access: "rwm" }] : [...defaultDeviceRules(), ...request.deviceRules];
  const section: Linux = {
    namespaces: namespaceList(namespaces),
    cgroupsPath: request.cgroupsPath,
    resources: { ...request.resources, devices: rules },
    maskedPaths: request.maskedPaths ?? (privileged ? [] : [...MASKED_PATHS]),
    readonlyPaths: request.readonlyPaths ?? (privileged ? [] : [...READONLY_PATHS]),
  };
  if (request.devices.length > 0) section.devices = request.devices;
  if (request.seccomp !== null) section.seccomp = request.seccomp;
  if (Object.keys(sysctl).length > 0) section.sysctl = sysctl;
  const propagation = rootPropagation(request.mounts);
  if (propagation !== null) section.rootfsPropagation = propagation;
  return section;
}

function namespaceList(choices: DockerSpecRequest["namespaces"]): Namespace[] {
  const list: Namespace[] = [{ type: "mount" }];
  for (const type of ["network", "uts", "pid", "ipc", "cgroup"] as const) {
    const choice = choices[type];
    if (choice === "host") continue;
    list.push(choice === "private" ? { type } : { type, path: choice.path });
  }
  return list;
}

/** A shared or slave volume needs a root that passes mounts on. */
function rootPropagation(list: readonly Mount[]): string | null {
  const has = (...names: string[]) => list.some((entry) => entry.options?.some((option) => names.includes(option)));
  if (has("shared", "rshared")) return "shared";
  if (has("slave", "rslave")) return "rslave";
  return null;
}
