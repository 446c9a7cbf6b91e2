// What a config.json must satisfy beyond its types, with runc's wording, before anything is made.

import { Failure, messageOf } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";
import { RLIMIT_NAMES } from "../../linux/credential.ts";
import { ELOOP, must } from "../../linux/errno.ts";
import { Fd, O_DIRECTORY, O_PATH, S_IFDIR, S_IFMT, stat } from "../../linux/fd.ts";
import { tryOpenWithoutLinks } from "../../linux/mount.ts";
import { NAMESPACES, type NamespaceKind } from "../../linux/namespace.ts";
import { propagationOf } from "./mounts.ts";
import { parseRanges } from "./ranges.ts";
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
  checkScheduling(process);
  if (process.selinuxLabel !== "" && stat("/sys/fs/selinux/enforce") === null) {
    return refuse("selinux label is specified in config, but selinux is disabled or not supported");
  }
  return process;
}

const IO_CLASSES = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

function checkScheduling({ scheduler, ioPriority, execCPUAffinity }: ProcessSpec): void {
  if (scheduler !== null) {
    const { policy, nice, priority, runtime, deadline, period } = scheduler;
    if (policy === "") refuse("scheduler policy is required");
    if ((policy === "SCHED_OTHER" || policy === "SCHED_BATCH") && (nice < -20 || nice > 19)) {
      refuse(`invalid scheduler.nice: ${nice} when scheduler.policy is ${policy}`);
    }
    if (priority !== 0 && policy !== "SCHED_FIFO" && policy !== "SCHED_RR") {
      refuse("scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    }
    if (policy !== "SCHED_DEADLINE" && (runtime !== 0n || deadline !== 0n || period !== 0n)) {
      refuse("scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
    }
  }
  if (ioPriority !== null) {
    const { class: name, priority } = ioPriority;
    if (priority < 0 || priority > 7) refuse(`invalid ioPriority.Priority: ${priority}`);
    if (!IO_CLASSES.includes(name)) refuse(`invalid ioPriority.Class: ${quote(name)}`);
  }
  if (execCPUAffinity !== null) {
    for (const [field, value] of [
      ["Initial", execCPUAffinity.initial] as const,
      ["Final", execCPUAffinity.final] as const,
    ]) {
      try {
        parseRanges(value);
      } catch (thrown) {
        refuse(`bad CPUAffinity.${field}: ${messageOf(thrown)}`);
      }
    }
  }
}

const PER_LINUX32 = 8;

/** The number that personality(2) takes. */
export function domainOf({ domain }: NonNullable<LinuxSpec["personality"]>): number {
  return domain === "LINUX32" ? PER_LINUX32 : 0;
}

/** The absolute path of the root filesystem. */
export function checkRoot(spec: Spec, bundle: string): string {
  if (spec.root === null) return refuse("root must be specified");
  const path = spec.root.path.startsWith("/") ? spec.root.path : `${bundle}/${spec.root.path}`;
  const clean = cleanPath(path);
  const found = stat(clean);
  if (found === null) return refuse(`invalid rootfs: stat ${clean}: no such file or directory`);
  if ((found.mode & S_IFMT) !== S_IFDIR) return refuse(`invalid rootfs: ${clean} is not a directory`);
  openRootfs(clean).close();
  return clean;
}

/** Who may change a link on the way to the root would say what the container's root is. */
export function openRootfs(path: string): Fd {
  const opened = tryOpenWithoutLinks(path, O_PATH | O_DIRECTORY);
  if (opened === -ELOOP) return refuse("invalid rootfs: not an absolute path, or a symlink");
  return new Fd(must("open", path, opened));
}

export function planNamespaces(linux: LinuxSpec): NamespacePlan {
  const plan = new Map<NamespaceKind, string>();
  for (const { type, path } of linux.namespaces) {
    if (!Object.hasOwn(NAMESPACES, type)) refuse(`namespace {${quote(type)} ${quote(path)}} does not exist`);
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
    const both = "time namespace enabled, but both namespace path and time offsets specified";
    if (namespaces.has("time")) refuse(`${both} -- you may only provide one`);
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
  for (const name of Object.keys(linux.sysctl)) checkSysctl(name, namespaces);
  checkNetDevices(linux, namespaces);
}

function checkNetDevices({ netDevices }: LinuxSpec, namespaces: NamespacePlan): void {
  const devices = Object.entries(netDevices);
  if (devices.length > 0 && !namespaces.has("network"))
    refuse("unable to move network devices without a NET namespace");
  for (const [name, device] of devices) {
    for (const one of device.name === "" ? [name] : [name, device.name]) {
      if (!isDeviceName(one)) refuse(`invalid network device name ${quote(one)}`);
    }
  }
}

/** include/uapi/linux/if.h IFNAMSIZ, less the NUL. */
const DEVICE_NAME_LIMIT = 15;

function isDeviceName(name: string): boolean {
  return name.length > 0 && name.length <= DEVICE_NAME_LIMIT && name !== "." && name !== ".." && !/[/:\s]/.test(name);
}

const IPC_SYSCTLS = "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced"
  .split(" ")
  .map((n) => `kernel.${n}`);

/** Only settings of a namespace that the container has to itself; all else would change the host. */
function checkSysctl(name: string, namespaces: NamespacePlan): void {
  const slashes = name.includes("/") && !/^[^/]*\./.test(name);
  const dotted = slashes ? name.replace(/[./]/g, (mark) => (mark === "." ? "/" : ".")) : name;
  const shown = quote(dotted);
  if (IPC_SYSCTLS.includes(dotted) || dotted.startsWith("fs.mqueue.")) {
    if (!namespaces.has("ipc")) refuse(`sysctl ${shown} is not allowed in the hosts ipc namespace`);
  } else if (dotted.startsWith("net.")) {
    if (sharesHost("network", namespaces)) refuse(`sysctl ${shown} not allowed in host network namespace`);
  } else if (dotted === "kernel.hostname" && namespaces.has("uts")) {
    refuse(`sysctl ${shown} is not allowed as it conflicts with the OCI "hostname" field`);
  } else if (dotted.startsWith("user.")) {
    if (!namespaces.has("user")) refuse(`setting ucounts without a user namespace not allowed: ${dotted}`);
  } else if (dotted !== "kernel.domainname" || !namespaces.has("uts")) {
    refuse(`sysctl ${shown} is not in a separate kernel namespace`);
  }
}

/** Also when the namespace to be joined is the runtime's own. */
function sharesHost(kind: NamespaceKind, namespaces: NamespacePlan): boolean {
  const path = namespaces.get(kind);
  if (path === undefined) return true;
  if (path === "") return false;
  const [own, joined] = [stat(`/proc/self/ns/${NAMESPACES[kind].file}`), stat(path)];
  if (joined === null) refuse(`invalid netns path: stat ${path}: no such file or directory`);
  return own?.device === joined.device && own.inode === joined.inode;
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
