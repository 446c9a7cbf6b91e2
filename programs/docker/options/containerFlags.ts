// The flags run and create share. containerBody.ts turns their values into the body of POST /containers/create.

import type { FlagSet } from "../../../base/flags/flagset.ts";
import { entries, INT, listOf, mapOf, parsed, UINT, UINT16 } from "../../../base/flags/values.ts";
import type { Runtime } from "../../../base/runtime.ts";
import { parseMemory, parseMemoryOrUnlimited } from "../format/units.ts";
import { parseMount } from "./mount.ts";
import { parseNetwork } from "./network.ts";
import * as values from "./values.ts";

export type ContainerFlags = ReturnType<typeof defineContainerFlags>;

/** `runtime` is asked only when a flag needs the environment. */
export function defineContainerFlags(set: FlagSet, runtime: () => Runtime) {
  return {
    ...processFlags(set, runtime),
    ...networkFlags(set),
    ...storageFlags(set),
    ...resourceFlags(set),
    ...deviceFlags(set),
    ...securityFlags(set),
    ...healthFlags(set),
  };
}

function bytes(set: FlagSet, name: string, short: string, usage: string) {
  return set.add(parsed("bytes", parseMemory), [name, short], { usage, initial: 0 });
}

function checked(set: FlagSet, name: string, short: string, spec: { usage: string; check: (text: string) => string }) {
  return set.add(listOf(spec.check), [name, short], { usage: spec.usage, initial: [] });
}

function processFlags(set: FlagSet, runtime: () => Runtime) {
  return {
    attach: checked(set, "attach", "a", { usage: "Attach to STDIN, STDOUT or STDERR", check: values.checkAttach }),
    interactive: set.bool("interactive", "i", "Keep STDIN open even if not attached"),
    tty: set.bool("tty", "t", "Allocate a pseudo-terminal"),
    name: set.string("name", "", "Name of the container"),
    autoRemove: set.bool("rm", "", "Remove the container and its anonymous volumes when it ends"),
    entrypoint: set.string("entrypoint", "", "Replaces the image's entrypoint"),
    env: checked(set, "env", "e", { usage: "Set environment variables", check: values.environmentCheck(runtime) }),
    envFile: set.list("env-file", "", "Read environment variables from a file"),
    user: set.string("user", "u", "User name or id (<name|uid>[:<group|gid>])"),
    workdir: set.string("workdir", "w", "Working directory inside the container"),
    init: set.bool("init", "", "Run an init that forwards signals and reaps processes"),
    restart: set.string("restart", "", "Restart policy for when the container exits", "no"),
    stopSignal: set.string("stop-signal", "", "Signal that stops the container"),
    stopTimeout: set.int("stop-timeout", "", "Seconds to wait for the container to stop"),
    pull: set.string("pull", "", 'Pull the image first ("always", "missing", "never")', "missing"),
    quiet: set.bool("quiet", "q", "Do not show the progress of a pull"),
    platform: set.string("platform", "", "Platform of the image"),
    cidfile: set.string("cidfile", "", "Write the container's id to this file"),
    hostname: set.string("hostname", "h", "Host name of the container"),
    domainname: set.string("domainname", "", "NIS domain name of the container"),
    label: checked(set, "label", "l", { usage: "Set labels", check: values.checkLabel }),
    labelFile: set.list("label-file", "", "Read labels from a file"),
    annotation: set.add(mapOf(), ["annotation", ""], { usage: "Add annotations for the runtime", initial: new Map() }),
    runtime: set.string("runtime", "", "Runtime of the container"),
    logDriver: set.string("log-driver", "", "Logging driver"),
    logOptions: set.list("log-opt", "", "Options of the logging driver"),
    contentTrust: set.bool("disable-content-trust", "", "Skip verification of the image", true),
  };
}

function networkFlags(set: FlagSet) {
  const network = set.add(entries("network", parseNetwork), ["network", ""], {
    usage: "Connect to a network",
    initial: [],
  });
  const old = set.add(entries("network", parseNetwork), ["net", ""], {
    usage: "",
    initial: [],
    options: { hidden: true },
  });
  return {
    network,
    net: old,
    networkAlias: set.list("network-alias", "", "Alias of the container on its network"),
    publish: set.list("publish", "p", "Publish ports to the host"),
    publishAll: set.bool("publish-all", "P", "Publish all exposed ports to free ports"),
    expose: set.list("expose", "", "Expose a port or a range of ports"),
    addHost: checked(set, "add-host", "", {
      usage: "Add a line to the hosts file (host:ip)",
      check: values.checkExtraHost,
    }),
    dns: checked(set, "dns", "", { usage: "DNS servers", check: values.checkAddress }),
    dnsOption: set.list("dns-option", "", "DNS options"),
    dnsOpt: set.add(listOf(), ["dns-opt", ""], { usage: "", initial: [], options: { hidden: true } }),
    dnsSearch: checked(set, "dns-search", "", { usage: "DNS search domains", check: values.checkDnsSearch }),
    ip: set.string("ip", "", "IPv4 address"),
    ip6: set.string("ip6", "", "IPv6 address"),
    link: checked(set, "link", "", { usage: "Link to another container", check: values.checkLink }),
    linkLocal: set.list("link-local-ip", "", "Link-local addresses"),
    mac: set.string("mac-address", "", "MAC address"),
  };
}

function storageFlags(set: FlagSet) {
  return {
    volume: set.list("volume", "v", "Bind mount a folder or a volume"),
    mount: set.add(entries("mount", parseMount), ["mount", ""], { usage: "Attach a mount", initial: [] }),
    tmpfs: set.list("tmpfs", "", "Mount a tmpfs"),
    volumesFrom: set.list("volumes-from", "", "Mount the volumes of other containers"),
    volumeDriver: set.string("volume-driver", "", "Driver of volumes"),
    storageOptions: set.list("storage-opt", "", "Options of the storage driver"),
    readOnly: set.bool("read-only", "", "Mount the root filesystem read-only"),
    shmSize: bytes(set, "shm-size", "", "Size of /dev/shm"),
  };
}

function resourceFlags(set: FlagSet) {
  const swap = parsed("bytes", parseMemoryOrUnlimited);
  return {
    memory: bytes(set, "memory", "m", "Memory limit"),
    memoryReservation: bytes(set, "memory-reservation", "", "Soft limit of memory"),
    memorySwap: set.add(swap, ["memory-swap", ""], { usage: "Memory plus swap; -1 for unlimited swap", initial: 0 }),
    memorySwappiness: set.int("memory-swappiness", "", "Swappiness (0 to 100)", -1),
    kernelMemory: set.add(parsed("bytes", parseMemory), ["kernel-memory", ""], {
      usage: "",
      initial: 0,
      options: { hidden: true },
    }),
    cpus: set.add(parsed("decimal", values.parseCpus), ["cpus", ""], { usage: "Number of processors", initial: 0 }),
    cpuShares: set.int("cpu-shares", "c", "Processor shares (relative weight)"),
    cpuPeriod: set.int("cpu-period", "", "Period of the processor quota in microseconds"),
    cpuQuota: set.int("cpu-quota", "", "Processor quota in microseconds per period"),
    cpuRtPeriod: set.int("cpu-rt-period", "", "Period of real-time scheduling in microseconds"),
    cpuRtRuntime: set.int("cpu-rt-runtime", "", "Real-time share of a period in microseconds"),
    cpusetCpus: set.string("cpuset-cpus", "", "Processors to run on (0-3, 0,1)"),
    cpusetMems: set.string("cpuset-mems", "", "Memory nodes to use (0-3, 0,1)"),
    pidsLimit: set.int("pids-limit", "", "Limit of processes; -1 for none"),
    ulimit: set.add(entries("ulimit", values.parseUlimit), ["ulimit", ""], { usage: "Resource limits", initial: [] }),
    oomKillDisable: set.bool("oom-kill-disable", "", "Do not kill when memory runs out"),
    oomScoreAdj: set.int("oom-score-adj", "", "Preference of the OOM killer (-1000 to 1000)"),
    cpuCount: set.add(INT, ["cpu-count", ""], { usage: "", initial: 0, options: { hidden: true } }),
    cpuPercent: set.add(INT, ["cpu-percent", ""], { usage: "", initial: 0, options: { hidden: true } }),
    isolation: set.string("isolation", "", "Isolation technology"),
    ioMaxBandwidth: set.add(parsed("bytes", parseMemory), ["io-maxbandwidth", ""], {
      usage: "",
      initial: 0,
      options: { hidden: true },
    }),
    ioMaxIops: set.add(UINT, ["io-maxiops", ""], { usage: "", initial: 0, options: { hidden: true } }),
  };
}

function deviceFlags(set: FlagSet) {
  const rates = entries("list", values.parseBytesPerSecond);
  const operations = entries("list", values.parseOperationsPerSecond);
  const weights = entries("list", values.parseWeightDevice);
  return {
    device: set.list("device", "", "Add a device of the host"),
    deviceCgroupRule: set.list("device-cgroup-rule", "", "Add a rule to the allowed devices"),
    gpus: set.add(entries("gpu-request", values.parseGpus), ["gpus", ""], {
      usage: "Add GPUs ('all' for all)",
      initial: [],
    }),
    blkioWeight: set.add(UINT16, ["blkio-weight", ""], {
      usage: "Block IO weight (10 to 1000, 0 for none)",
      initial: 0,
    }),
    blkioWeightDevice: set.add(weights, ["blkio-weight-device", ""], {
      usage: "Block IO weight per device",
      initial: [],
    }),
    readBps: set.add(rates, ["device-read-bps", ""], { usage: "Read limit in bytes per second", initial: [] }),
    writeBps: set.add(rates, ["device-write-bps", ""], { usage: "Write limit in bytes per second", initial: [] }),
    readIops: set.add(operations, ["device-read-iops", ""], { usage: "Read limit in operations", initial: [] }),
    writeIops: set.add(operations, ["device-write-iops", ""], { usage: "Write limit in operations", initial: [] }),
  };
}

function securityFlags(set: FlagSet) {
  return {
    privileged: set.bool("privileged", "", "Give extended privileges"),
    capAdd: set.list("cap-add", "", "Add capabilities"),
    capDrop: set.list("cap-drop", "", "Drop capabilities"),
    securityOptions: set.list("security-opt", "", "Security options"),
    userns: set.string("userns", "", "User namespace to use"),
    pid: set.string("pid", "", "PID namespace to use"),
    ipc: set.string("ipc", "", "IPC mode to use"),
    uts: set.string("uts", "", "UTS namespace to use"),
    cgroupns: set.string("cgroupns", "", "Cgroup namespace to use (host|private)"),
    cgroupParent: set.string("cgroup-parent", "", "Parent cgroup"),
    groupAdd: set.list("group-add", "", "Additional groups"),
    sysctl: set.add(listOf(values.checkSysctl, "map"), ["sysctl", ""], { usage: "Kernel parameters", initial: [] }),
  };
}

function healthFlags(set: FlagSet) {
  return {
    healthCmd: set.string("health-cmd", "", "Command that checks health"),
    healthInterval: set.duration("health-interval", "", "Time between checks"),
    healthRetries: set.int("health-retries", "", "Failures in a row that mean unhealthy"),
    healthTimeout: set.duration("health-timeout", "", "Longest time of a check"),
    healthStartPeriod: set.duration("health-start-period", "", "Time to come up before failures count"),
    healthStartInterval: set.duration("health-start-interval", "", "Time between checks while coming up"),
    noHealthcheck: set.bool("no-healthcheck", "", "Switch the image's health check off"),
  };
}
