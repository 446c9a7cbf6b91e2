// dockerd's flags: every name the original knows, so that a command line written for it is read, with the kinds of
// their values. What each one means here is decided in load.ts.
//
// A row is: name, short name, kind, help. Kinds: bool, text, int, list (may be given often), map (key=value).

import { FlagSet } from "../../../base/flags/flagset.ts";
import { mapOf } from "../../../base/flags/values.ts";

type Kind = "bool" | "text" | "int" | "list" | "map";
type Row = readonly [name: string, short: string, kind: Kind, usage: string];

/** The key in daemon.json where it is not the flag's name: lists are in the plural there. */
const FILE_KEYS: Readonly<Record<string, string>> = {
  "add-runtime": "runtimes",
  "authorization-plugin": "authorization-plugins",
  "cdi-spec-dir": "cdi-spec-dirs",
  "default-address-pool": "default-address-pools",
  "default-network-opt": "default-network-opts",
  "default-ulimit": "default-ulimits",
  "dns-opt": "dns-opts",
  "exec-opt": "exec-opts",
  feature: "features",
  host: "hosts",
  "host-gateway-ip": "host-gateway-ips",
  "insecure-registry": "insecure-registries",
  label: "labels",
  "log-opt": "log-opts",
  "node-generic-resource": "node-generic-resources",
  "registry-mirror": "registry-mirrors",
  "storage-opt": "storage-opts",
};

/** Keys that only the file has. */
export const FILE_ONLY: readonly string[] = ["builder", "min-api-version", "proxies"];

const ROWS: readonly Row[] = [
  ["add-runtime", "", "map", "Register an additional OCI compatible runtime"],
  ["allow-direct-routing", "", "bool", "Allow remote access to published ports on container IP addresses"],
  ["authorization-plugin", "", "list", "Authorization plugins to load"],
  ["bip", "", "text", "IPv4 address for the default bridge"],
  ["bip6", "", "text", "IPv6 address for the default bridge"],
  ["bridge", "b", "text", "Attach containers to a network bridge"],
  ["bridge-accept-fwmark", "", "text", "In bridge networks, accept packets with this firewall mark/mask"],
  ["cdi-spec-dir", "", "list", "CDI specification directories to use"],
  ["cgroup-parent", "", "text", "Set parent cgroup for all containers"],
  ["config-file", "", "text", "Daemon configuration file"],
  ["containerd", "", "text", "containerd grpc address"],
  ["containerd-namespace", "", "text", "Containerd namespace to use"],
  ["containerd-plugins-namespace", "", "text", "Containerd namespace to use for plugins"],
  [
    "cpu-rt-period",
    "",
    "int",
    "Limit the CPU real-time period in microseconds for the parent cgroup for all containers",
  ],
  [
    "cpu-rt-runtime",
    "",
    "int",
    "Limit the CPU real-time runtime in microseconds for the parent cgroup for all containers",
  ],
  ["cri-containerd", "", "bool", "start containerd with cri"],
  ["data-root", "", "text", "Root directory of persistent Docker state"],
  ["debug", "D", "bool", "Enable debug mode"],
  ["default-address-pool", "", "list", "Default address pools for node specific local networks"],
  ["default-cgroupns-mode", "", "text", 'Default mode for containers cgroup namespace ("host" | "private")'],
  ["default-gateway", "", "text", "Default gateway IPv4 address for the default bridge network"],
  ["default-gateway-v6", "", "text", "Default gateway IPv6 address for the default bridge network"],
  ["default-ipc-mode", "", "text", 'Default mode for containers ipc ("shareable" | "private")'],
  ["default-network-opt", "", "list", "Default network options"],
  ["default-runtime", "", "text", "Default OCI runtime for containers"],
  ["default-shm-size", "", "text", "Default shm size for containers"],
  ["default-stop-timeout", "", "int", "Default stop timeout (in seconds) for containers"],
  ["default-ulimit", "", "list", "Default ulimits for containers"],
  ["dns", "", "list", "DNS server to use"],
  ["dns-opt", "", "list", "DNS options to use"],
  ["dns-search", "", "list", "DNS search domains to use"],
  ["exec-opt", "", "list", "Runtime execution options"],
  ["exec-root", "", "text", "Root directory for execution state files"],
  ["experimental", "", "bool", "Enable experimental features"],
  ["feature", "", "map", "Enable feature in the daemon"],
  ["firewall-backend", "", "text", "Firewall backend to use, iptables or nftables"],
  ["fixed-cidr", "", "text", "IPv4 subnet for the default bridge network"],
  ["fixed-cidr-v6", "", "text", "IPv6 subnet for the default bridge network"],
  ["group", "G", "text", "Group for the unix socket"],
  ["host", "H", "list", "Daemon socket(s) to connect to"],
  ["host-gateway-ip", "", "list", "IP addresses that the special 'host-gateway' string in --add-host resolves to"],
  ["http-proxy", "", "text", "HTTP proxy URL to use for outgoing traffic"],
  ["https-proxy", "", "text", "HTTPS proxy URL to use for outgoing traffic"],
  ["icc", "", "bool", "Enable inter-container communication for the default bridge network"],
  ["init", "", "bool", "Run an init in the container to forward signals and reap processes"],
  ["init-path", "", "text", "Path to the docker-init binary"],
  ["insecure-registry", "", "list", "Enable insecure registry communication"],
  ["ip", "", "text", "Host IP for port publishing from the default bridge network"],
  ["ip-forward", "", "bool", "Enable IP forwarding in system configuration"],
  ["ip-forward-no-drop", "", "bool", "Do not set the filter-FORWARD policy to DROP when enabling IP forwarding"],
  ["ip-masq", "", "bool", "Enable IP masquerading for the default bridge network"],
  ["ip6tables", "", "bool", "Enable addition of ip6tables rules"],
  ["iptables", "", "bool", "Enable addition of iptables rules"],
  ["ipv6", "", "bool", "Enable IPv6 networking for the default bridge network"],
  ["label", "", "list", "Set key=value labels to the daemon"],
  ["live-restore", "", "bool", "Enable live restore of docker when containers are still running"],
  ["log-driver", "", "text", "Default driver for container logs"],
  ["log-format", "", "text", 'Set the logging format ("text"|"json")'],
  ["log-level", "l", "text", 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")'],
  ["log-opt", "", "map", "Default log driver options for containers"],
  ["max-concurrent-downloads", "", "int", "Set the max concurrent downloads"],
  ["max-concurrent-uploads", "", "int", "Set the max concurrent uploads"],
  ["max-download-attempts", "", "int", "Set the max download attempts for each pull"],
  ["metrics-addr", "", "text", "Set default address and port to serve the metrics api on"],
  ["mtu", "", "int", "Set the MTU for the default bridge network"],
  ["network-control-plane-mtu", "", "int", "Network Control plane MTU"],
  ["network-diagnostic-port", "", "int", "TCP port number of the network diagnostic server"],
  ["no-new-privileges", "", "bool", "Set no-new-privileges by default for new containers"],
  ["no-proxy", "", "text", "Comma-separated list of hosts or IP addresses for which the proxy is skipped"],
  ["node-generic-resource", "", "list", "Advertise user-defined resource"],
  ["nri-opts", "", "text", "Node Resource Interface configuration"],
  ["pidfile", "p", "text", "Path to use for daemon PID file"],
  ["raw-logs", "", "bool", "Full timestamps without ANSI coloring"],
  ["registry-mirror", "", "list", "Preferred registry mirror"],
  ["restart", "r", "bool", "--restart on the daemon has been deprecated in favor of --restart policies on docker run"],
  ["rootless", "", "bool", "Enable rootless mode; typically used with RootlessKit"],
  ["seccomp-profile", "", "text", "Path to seccomp profile"],
  ["selinux-enabled", "", "bool", "Enable selinux support"],
  ["shutdown-timeout", "", "int", "Set the default shutdown timeout"],
  ["storage-driver", "s", "text", "Storage driver to use"],
  ["storage-opt", "", "list", "Storage driver options"],
  ["swarm-default-advertise-addr", "", "text", "Set default address or interface for swarm advertised address"],
  ["tls", "", "bool", "Use TLS; implied by --tlsverify"],
  ["tlscacert", "", "text", "Trust certs signed only by this CA"],
  ["tlscert", "", "text", "Path to TLS certificate file"],
  ["tlskey", "", "text", "Path to TLS key file"],
  ["tlsverify", "", "bool", "Use TLS and verify the remote"],
  ["userland-proxy", "", "bool", "Use userland proxy for loopback traffic"],
  ["userland-proxy-path", "", "text", "Path to the userland proxy binary"],
  ["userns-remap", "", "text", "User/Group setting for user namespaces"],
  ["validate", "", "bool", "Validate daemon configuration and exit"],
  ["version", "v", "bool", "Print version information and quit"],
];

export type FlagValue = string | number | boolean | string[] | Record<string, string>;

export interface ParsedFlags {
  /** Only what was given. */
  given: Map<string, FlagValue>;
  set: FlagSet;
}

/** Throws FlagError with the original's words. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const set = new FlagSet("pflag");
  const readers = ROWS.map(([name, short, kind, usage]) => {
    const flag =
      kind === "bool"
        ? set.bool(name, short, usage)
        : kind === "int"
          ? set.int(name, short, usage)
          : kind === "list"
            ? set.list(name, short, usage)
            : kind === "map"
              ? set.add(mapOf(), [name, short], { usage, initial: new Map<string, string>() })
              : set.string(name, short, usage);
    return { name, flag };
  });
  const rest = set.parse(args);
  if (rest.length > 0) throw new UnexpectedArgument(`unknown command: dockerd ${rest[0]}`);
  const given = new Map<string, FlagValue>();
  for (const { name, flag } of readers) {
    if (!flag.changed) continue;
    given.set(name, flag.value instanceof Map ? Object.fromEntries(flag.value) : flag.value);
  }
  return { given, set };
}

export class UnexpectedArgument extends Error {}

/** The key a flag has in the file. */
export function fileKey(flag: string): string {
  return FILE_KEYS[flag] ?? flag;
}

/** Key of the file to the kind of its value; null when nobody knows it. */
export function kindOfKey(key: string): Kind | "any" | null {
  if (FILE_ONLY.includes(key)) return "any";
  if (key === "runtimes" || key === "default-ulimits" || key === "features" || key === "default-network-opts")
    return "any";
  if (key === "default-address-pools" || key === "nri-opts") return "any";
  if (["config-file", "validate", "version", "restart"].includes(key)) return null;
  const row = ROWS.find(([name]) => fileKey(name) === key);
  return row === undefined ? null : row[2];
}
