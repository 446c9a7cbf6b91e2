// What this runtime can do, in the runtime-spec's form: for engines that choose by it (`runc features`, a shim's
// -info).

import type { Json } from "../base/json.ts";
import { CAPABILITY_NAMES } from "../linux/capability-names.ts";
import { NAMESPACES } from "../linux/namespace.ts";
import { SECCOMP_FLAGS } from "./seccomp.ts";
import { MEMORY_FLAGS, MEMORY_MODES } from "./spec/memory.ts";
import { MOUNT_OPTIONS } from "./spec/mounts.ts";
import { SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_OPERATORS } from "./spec/seccomp.ts";
import { SPEC_VERSION, VERSION } from "./version.ts";

export function features(): Json {
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
    mountOptions: [...MOUNT_OPTIONS],
    linux: {
      namespaces: Object.keys(NAMESPACES).sort(),
      capabilities: [...CAPABILITY_NAMES],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        enabled: true,
        actions: [...SECCOMP_ACTIONS].sort(),
        operators: [...SECCOMP_OPERATORS].sort(),
        archs: [...SECCOMP_ARCHITECTURES].sort(),
        knownFlags: [...SECCOMP_FLAGS],
        supportedFlags: [...SECCOMP_FLAGS],
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: { modes: [...MEMORY_MODES].sort(), flags: [...MEMORY_FLAGS].sort() },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      "io.github.seccomp.libseccomp.version": "2.5.4",
      "org.opencontainers.runc.checkpoint.enabled": "true",
      "org.opencontainers.runc.commit": "gantry",
      "org.opencontainers.runc.version": VERSION,
    },
    potentiallyUnsafeConfigAnnotations: ["bundle", "org.criu.config"],
  };
}
