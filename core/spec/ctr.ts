// The OCI document of `ctr run`: containerd's plain defaults, which differ from Docker's in a few lines (a /run tmpfs,
// no new privileges, 1024 open files, no cgroup mount). ctr adds what its flags ask for on top.

import { DEFAULT_CAPABILITIES } from "./capabilities.ts";
import { DEFAULT_PATH, MASKED_PATHS, mount, OCI_VERSION, READONLY_PATHS } from "./defaults.ts";
import type { DeviceRule, Mount, Spec, User } from "./oci.ts";

export interface CtrSpecRequest {
  namespace: string;
  id: string;
  args: string[];
  /** Of the image, then of the command line. */
  env: string[];
  cwd: string;
  user: User;
  terminal: boolean;
}

const OPEN_FILES = 1024;

export function ctrSpec(request: CtrSpecRequest): Spec {
  const capabilities = [...DEFAULT_CAPABILITIES];
  const env = [DEFAULT_PATH, ...(request.terminal ? ["TERM=xterm"] : []), ...request.env];
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: request.terminal,
      user: request.user,
      args: request.args,
      env: lastOfEachName(env),
      cwd: request.cwd === "" ? "/" : request.cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: OPEN_FILES, soft: OPEN_FILES }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: false },
    mounts: ctrMounts(),
    linux: {
      namespaces: [{ type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }, { type: "network" }],
      cgroupsPath: `/${request.namespace}/${request.id}`,
      resources: { devices: ctrDeviceRules() },
      maskedPaths: [...MASKED_PATHS],
      readonlyPaths: [...READONLY_PATHS],
    },
  };
}

function ctrMounts(): Mount[] {
  return [
    mount("/proc", "proc", "proc", "nosuid noexec nodev"),
    mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    mount("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    mount("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
    mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    mount("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    mount("/run", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
  ];
}

/** null, random, full, tty, zero, urandom, console, pts, ptmx. */
function ctrDeviceRules(): DeviceRule[] {
  const pairs: [number, number | null][] = [
    [1, 3],
    [1, 8],
    [1, 7],
    [5, 0],
    [1, 5],
    [1, 9],
    [5, 1],
    [136, null],
    [5, 2],
  ];
  const rules: DeviceRule[] = [{ allow: false, access: "rwm" }];
  for (const [major, minor] of pairs) {
    rules.push({ allow: true, type: "c", major, ...(minor === null ? {} : { minor }), access: "rwm" });
  }
  return rules;
}

function lastOfEachName(env: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const entry of env) byName.set(entry.split("=", 1)[0]!, entry);
  return [...byName.values()];
}
