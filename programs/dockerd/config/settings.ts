// The daemon's settings after flags and daemon.json were put together. Everything has its value here; paths are
// absolute. What can change on SIGHUP is marked.

import type { Ulimit } from "../containers/config.ts";

export interface RuntimeSetting {
  /** Path of the binary; "" for the name itself, found by the shim. */
  path: string;
  args: string[];
  /** Of the shim, e.g. io.containerd.runc.v2. */
  type: string;
}

export interface Settings {
  hosts: string[];
  group: string;
  dataRoot: string;
  execRoot: string;
  pidfile: string;
  debug: boolean;
  logLevel: "debug" | "info" | "warn" | "error" | "fatal";
  labels: string[];
  /** Path of containerd's socket; "" means: the usual place, else one of our own. */
  containerd: string;
  namespace: string;
  liveRestore: boolean;
  /** Seconds. */
  shutdownTimeout: number;
  defaultStopTimeout: number;
  defaultRuntime: string;
  runtimes: Record<string, RuntimeSetting>;
  init: boolean;
  initPath: string;
  logDriver: string;
  logOptions: Record<string, string>;
  seccompProfile: string;
  /** Bytes. */
  defaultShmSize: number;
  defaultUlimits: Ulimit[];
  noNewPrivileges: boolean;
  cgroupParent: string;
  cgroupnsMode: string;
  insecureRegistries: string[];
  registryMirrors: string[];
  experimental: boolean;
  minApiVersion: string;
  /** "none" switches the default network off; "" is docker0. */
  bridge: string;
  bip: string;
  iptables: boolean;
  userlandProxy: boolean;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
}

export const RUNC_SHIM = "io.containerd.runc.v2";
