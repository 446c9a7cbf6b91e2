// What a config.json must satisfy beyond its types, with runc's wording, before anything is made.

import { Failure } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";
import { RLIMIT_NAMES } from "../../linux/credential.ts";
import { S_IFDIR, S_IFMT, stat } from "../../linux/fd.ts";
import { NAMESPACES, type NamespaceKind } from "../../linux/namespace.ts";
import { propagationOf } from "./mounts.ts";
import type { LinuxSpec, ProcessSpec, Spec } from "./schema.ts";

/** Kind to path; "" is a new namespace. Kinds that are not in it are shared with the runtime. */
export type NamespacePlan = ReadonlyMap<NamespaceKind, string>;

function refuse(message: string): never {
  throw new Failure("invalid_argument", message);
}

export function checkProcess(process: ProcessSpec | null): ProcessSpec {
  if (process === null) return refuse("process property must not be empty");
  if (process.cwd === "") return refuse("Cwd property must not be empty");
  if (!process.cwd.startsWith("/")) return refuse("Cwd must be an absolute path");
  if (process.args.length === 0) return refuse("args must not be empty");
  for (const limit of process.rlimits) {
    if (!RLIMIT_NAMES.includes(limit.type)) return refuse(`wrong rlimit value: ${limit.type}`);
  }
  if (process.selinuxLabel !== "" && stat("/sys/fs/selinux/enforce") === null) {
    return refuse("selinux label is specified in config, but selinux is disabled or not supported");
  }
  return process;
}

/** The absolute path of the root filesystem. */
export function checkRoot(spec: Spec, bundle: string): string {
  if (spec.root === null) return refuse("root must be specified");
  const path = spec.root.path.startsWith("/") ? spec.root.path : `${bundle}/${spec.root.path}`;
  const clean = cleanPath(path);
  const found = stat(clean);
  if (found === null) return refuse(`invalid rootfs: stat ${clean}: no such file or directory`);
  if ((found.mode & S_IFMT) !== S_IFDIR) return refuse(`invalid rootfs: ${clean} is not a directory`);
  return clean;
}

export function planNamespaces(linux: LinuxSpec): NamespacePlan {
  const plan = new Map<NamespaceKind, string>();
  for (const { type, path } of linux.namespaces) {
    if (!(type in NAMESPACES)) refuse(`namespace {${quote(type)} ${quote(path)}} does not exist`);
    const kind = type as NamespaceKind;
    if (plan.has(kind)) refuse(`malformed spec file: duplicated ns {${quote(type)} ${quote(path)}}`);
    plan.set(kind, path);
  }
  return plan;
}

export function checkSpec(spec: Spec, linux: LinuxSpec, namespaces: NamespacePlan): void {
  if (spec.hostname !== "" && !namespaces.has("uts")) refuse("unable to set hostname without a private UTS namespace");
  if (spec.domainname !== "" && !namespaces.has("uts")) {
    refuse("unable to set domainname without a private UTS namespace");
  }
  if (linux.maskedPaths.length + linux.readonlyPaths.length > 0 && !namespaces.has("mount")) {
    refuse("unable to restrict sys entries without a private MNT namespace");
  }
  if (!namespaces.has("mount") && spec.mounts.length > 0) refuse("unable to mount without a private MNT namespace");
  if (Object.keys(linux.timeOffsets).length > 0 && namespaces.get("time") !== "") {
    refuse("time namespace offsets specified, but time namespace isn't enabled in the config");
  }
  for (const clock of Object.keys(linux.timeOffsets)) {
    if (clock !== "monotonic" && clock !== "boottime") refuse(`linux.timeOffsets.${clock}: no such clock`);
  }
  if (linux.rootfsPropagation !== "" && propagationOf(linux.rootfsPropagation) === null) {
    refuse(`rootfsPropagation=${linux.rootfsPropagation} is not supported`);
  }
  for (const device of linux.devices) {
    if (!["c", "u", "b", "p"].includes(device.type)) refuse(`invalid device type ${quote(device.type)}`);
  }
  for (const name of Object.keys(linux.sysctl)) checkSysctl(name, spec, namespaces);
  if (linux.intelRdt !== null) refuse("linux.intelRdt is not supported yet");
  if (linux.memoryPolicy !== null) refuse("linux.memoryPolicy is not supported yet");
  if (Object.keys(linux.netDevices).length > 0) refuse("linux.netDevices is not supported yet");
}

const IPC_SYSCTLS = "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced"
  .split(" ")
  .map((n) => `kernel.${n}`);

/** Only settings of a namespace that the container has to itself; all else would change the host. */
function checkSysctl(name: string, spec: Spec, namespaces: NamespacePlan): void {
  const dotted = name.includes("/") && !/^[^/]*\./.test(name) ? name.replace(/\//g, ".") : name;
  if (dotted === "kernel.hostname" && spec.hostname !== "") {
    refuse(`sysctl ${quote(name)} is not allowed as it conflicts with the OCI "hostname" field`);
  }
  let kind: NamespaceKind | null = null;
  if (IPC_SYSCTLS.includes(dotted) || dotted.startsWith("fs.mqueue.")) kind = "ipc";
  else if (dotted.startsWith("net.")) kind = "network";
  else if (dotted === "kernel.domainname" || dotted === "kernel.hostname") kind = "uts";
  else if (dotted.startsWith("user.")) kind = "user";
  if (kind === null || !namespaces.has(kind)) refuse(`sysctl ${quote(name)} is not in a separate kernel namespace`);
}

/** Without "." and double slashes, and with ".." taken lexically, as Go's filepath.Clean. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}
