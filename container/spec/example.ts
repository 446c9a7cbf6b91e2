// The config.json that `runc spec` writes: a shell on a terminal, with few rights. The same as the original's.

import type { Json } from "../../base/json.ts";
import { SPEC_VERSION } from "../version.ts";

/** `unified`: on a machine with cgroup v2 alone, where a container should see only its own. */
export function exampleSpec(unified: boolean): { [field: string]: Json } {
  return {
    ociVersion: SPEC_VERSION,
    process: exampleProcess(),
    root: {
      path: "rootfs",
      readonly: true,
    },
    hostname: "runc",
    mounts: exampleMounts().map(written),
    linux: exampleLinux(unified),
  };
}

function exampleProcess(): Json {
  const few = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
  return {
    terminal: true,
    user: {
      uid: 0,
      gid: 0,
    },
    args: ["sh"],
    env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: {
      bounding: few,
      effective: few,
      permitted: few,
    },
    rlimits: [
      {
        type: "RLIMIT_NOFILE",
        hard: 1024,
        soft: 1024,
      },
    ],
    noNewPrivileges: true,
  };
}

function exampleMounts(): ExampleMount[] {
  return [
    {
      destination: "/proc",
      type: "proc",
      source: "proc",
      options: [],
    },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {
      destination: "/dev/mqueue",
      type: "mqueue",
      source: "mqueue",
      options: ["nosuid", "noexec", "nodev"],
    },
    {
      destination: "/sys",
      type: "sysfs",
      source: "sysfs",
      options: ["nosuid", "noexec", "nodev", "ro"],
    },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
    },
  ];
}

function exampleLinux(unified: boolean) {
  return {
    resources: {
      devices: [
        {
          allow: false,
          access: "rwm",
        },
      ],
    },
    namespaces: ["pid", "network", "ipc", "uts", "mount", ...(unified ? ["cgroup"] : [])].map((type) => ({ type })),
    maskedPaths: [
      "/proc/acpi",
      "/proc/asound",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/proc/sched_debug",
      "/sys/firmware",
      "/proc/scsi",
    ],
    readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  };
}

/** For a user without rights: the caller's own ids as root; nothing that needs another id, a network or a cgroup. */
export function rootlessExample({ uid, gid, unified }: { uid: number; gid: number; unified: boolean }): Json {
  const spec = exampleSpec(unified);
  const { resources: _, namespaces, ...linux } = exampleLinux(unified);
  const only = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  const kinds = [...namespaces.filter(({ type }) => type !== "network"), { type: "user" }];
  return {
    ...spec,
    mounts: exampleMounts().map(withoutRights),
    linux: { uidMappings: only(uid), gidMappings: only(gid), namespaces: kinds, ...linux },
  };
}

interface ExampleMount {
  [field: string]: Json;
  destination: string;
  type: string;
  source: string;
  options: string[];
}

function written({ options, ...front }: ExampleMount): Json {
  return options.length === 0 ? front : { ...front, options };
}

function withoutRights({ destination, type, source, options }: ExampleMount): Json {
  if (destination === "/sys") return { destination, type: "none", source: "/sys", options: ["rbind", ...options] };
  return written({ destination, type, source, options: options.filter((option) => !/^[ug]id=/.test(option)) });
}
