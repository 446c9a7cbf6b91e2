// What every container gets without asking: the mounts a Linux program expects, the paths hidden from it, the devices
// it may use. Docker's list; ctr's differs in a few lines and stands in ctr.ts.

import type { DeviceRule, Mount } from "./oci.ts";

export const OCI_VERSION = "1.2.0";

export const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Bytes of /dev/shm when nobody says. */
export const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

export const MASKED_PATHS: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];

export const READONLY_PATHS: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** Private network namespaces let any user bind low ports and ping: nobody else shares those ports. */
export const NETWORK_SYSCTLS: Readonly<Record<string, string>> = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};

export function defaultMounts(shmBytes: number): Mount[] {
  return [
    mount("/proc", "proc", "proc", "nosuid noexec nodev"),
    mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    mount("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    mount("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro nosuid noexec nodev"),
    mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    mount("/dev/shm", "tmpfs", "shm", `nosuid noexec nodev mode=1777 size=${shmBytes}`),
  ];
}

/** null, zero, full, random, urandom, tty, console, and no fuse; the runtime adds its own (ptmx, pts). */
export function defaultDeviceRules(): DeviceRule[] {
  const character = (major: number, minor: number, allow = true): DeviceRule => {
    return { allow, type: "c", major, minor, access: "rwm" };
  };
  return [
    { allow: false, access: "rwm" },
    character(1, 5),
    character(1, 3),
    character(1, 9),
    character(1, 8),
    character(5, 0),
    character(5, 1),
    character(10, 229, false),
  ];
}

export function mount(destination: string, type: string, source: string, options: string): Mount {
  return { destination, type, source, options: options.split(" ") };
}
