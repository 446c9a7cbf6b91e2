// Flags and daemon.json into settings. What stands in both is an error, as is a key that nobody knows; what Gantry does
// not do is refused by name where going on without it would surprise.

import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { compareApiVersions } from "../../../api/engine/version.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import type { Ulimit } from "../containers/config.ts";
import { splitBip } from "../networks/networks.ts";
import { checkLogOptions } from "../output/options.ts";
import { findProgram } from "../system/programs.ts";
import { API_MIN } from "../version.ts";
import { type FlagValue, fileKey, kindOfKey } from "./flags.ts";
import { RUNC_SHIM, type RuntimeSetting, type Settings } from "./settings.ts";
import { ramBytes } from "./size.ts";

const DEFAULT_FILE = "/etc/docker/daemon.json";
const DEFAULT_SHM = 64 * 1024 * 1024;
const LEVELS = ["debug", "info", "warn", "error", "fatal"];

type Values = Map<string, unknown>;

export function loadSettings(given: ReadonlyMap<string, FlagValue>): Settings {
  const values = merged(given);
  refuse(values);
  const text = (key: string, fallback: string) => (values.has(key) ? String(values.get(key)) : fallback);
  const flag = (key: string, fallback: boolean) => (values.has(key) ? values.get(key) === true : fallback);
  const number = (key: string, fallback: number) => (values.has(key) ? Number(values.get(key)) : fallback);
  const list = (key: string) => (values.get(key) as string[] | undefined) ?? [];
  const execRoot = resolve(text("exec-root", "/var/run/docker"));
  const debug = flag("debug", false);
  const level = text("log-level", debug ? "debug" : "info");
  if (!LEVELS.includes(level)) throw bad(`invalid logging level: ${level}`);
  const runtimes = readRuntimes(values.get("runtimes"));
  const logDriver = text("log-driver", "json-file");
  const logOptions = (values.get("log-opts") as Record<string, string> | undefined) ?? {};
  checkLogDriver(logDriver, logOptions);
  const defaultRuntime = text("default-runtime", "runc");
  if (runtimes[defaultRuntime] === undefined) throw bad(`specified default runtime '${defaultRuntime}' does not exist`);
  return {
    hosts: list("hosts").length > 0 ? list("hosts").map(readHost) : ["unix:///var/run/docker.sock"],
    group: text("group", "docker"),
    dataRoot: realPath(resolve(text("data-root", "/var/lib/docker"))),
    execRoot: realPath(execRoot),
    pidfile: resolve(text("pidfile", "/var/run/docker.pid")),
    debug,
    logLevel: level as Settings["logLevel"],
    labels: list("labels").map(checkLabel),
    containerd: text("containerd", "").replace(/^unix:\/\//, ""),
    namespace: text("containerd-namespace", "moby"),
    liveRestore: flag("live-restore", true),
    shutdownTimeout: number("shutdown-timeout", 15),
    defaultStopTimeout: number("default-stop-timeout", 10),
    defaultRuntime,
    runtimes,
    init: flag("init", false),
    initPath: text("init-path", findProgram("docker-init") ?? "docker-init"),
    logDriver,
    logOptions,
    seccompProfile: text("seccomp-profile", ""),
    defaultShmSize: ramBytes(text("default-shm-size", String(DEFAULT_SHM))) ?? DEFAULT_SHM,
    defaultUlimits: readUlimits(values.get("default-ulimits")),
    noNewPrivileges: flag("no-new-privileges", false),
    cgroupParent: text("cgroup-parent", ""),
    cgroupnsMode: readMode(text("default-cgroupns-mode", "")),
    insecureRegistries: list("insecure-registries"),
    registryMirrors: list("registry-mirrors"),
    experimental: flag("experimental", false),
    minApiVersion: readMinimum(text("min-api-version", process.env["DOCKER_MIN_API_VERSION"] ?? API_MIN)),
    bridge: text("bridge", ""),
    bip: checkBip(text("bip", "")),
    iptables: flag("iptables", true),
    userlandProxy: flag("userland-proxy", true),
    dns: list("dns"),
    dnsOptions: list("dns-opts"),
    dnsSearch: list("dns-search"),
  };
}

/** The file's values with the flags' beside them, by the file's keys. */
function merged(given: ReadonlyMap<string, FlagValue>): Values {
  const named = given.get("config-file");
  const path = named === undefined ? DEFAULT_FILE : String(named);
  const values: Values = new Map();
  const conflicts: string[] = [];
  for (const [key, value] of Object.entries(readFile(path, named !== undefined))) values.set(key, value);
  for (const [flag, value] of given) {
    if (["config-file", "validate", "version", "restart"].includes(flag)) continue;
    const key = fileKey(flag);
    if (values.has(key)) {
      const shown = (one: unknown) => (typeof one === "object" ? JSON.stringify(one) : String(one));
      conflicts.push(`${key}: (from flag: ${shown(value)}, from file: ${shown(values.get(key))})`);
    }
    values.set(key, value);
  }
  if (conflicts.length === 0) return values;
  throw new Failure(
    "invalid_argument",
    `unable to configure the Docker daemon with file ${path}: the following directives are specified both as a flag ` +
      `and in the configuration file: ${conflicts.join(", ")}`,
  );
}

function readFile(path: string, required: boolean): Record<string, unknown> {
  const wrong = (words: string) =>
    new Failure("invalid_argument", `unable to configure the Docker daemon with file ${path}: ${words}`);
  if (!existsSync(path)) {
    if (required) throw wrong(`open ${path}: no such file or directory`);
    return {};
  }
  const text = readFileSync(path, "utf8");
  if (text.trim() === "") return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw wrong((cause as Error).message);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw wrong("it is no JSON object");
  const unknown = Object.keys(parsed).filter((key) => kindOfKey(key) === null);
  if (unknown.length > 0) {
    throw wrong(`the following directives don't match any configuration option: ${unknown.join(", ")}`);
  }
  for (const [key, value] of Object.entries(parsed)) checkKind(key, value, wrong);
  return parsed as Record<string, unknown>;
}

function checkKind(key: string, value: unknown, wrong: (words: string) => Failure): void {
  const strings = Array.isArray(value) && value.every((one) => typeof one === "string");
  const map = typeof value === "object" && value !== null && !Array.isArray(value);
  const kind = kindOfKey(key);
  const fits =
    kind === "any" ||
    (kind === "bool" && typeof value === "boolean") ||
    (kind === "int" && Number.isSafeInteger(value)) ||
    (kind === "text" && (typeof value === "string" || typeof value === "number")) ||
    (kind === "list" && strings) ||
    (kind === "map" && map);
  if (!fits) throw wrong(`the value of ${key} is of the wrong kind`);
}

/** Settings that change what a container is protected by, or where it is reachable: never ignored silently. */
function refuse(values: Values): void {
  const later = (key: string) => {
    throw new Failure("unimplemented", `${key} is not supported yet; dockerd does not start rather than ignore it`);
  };
  for (const key of ["userns-remap", "authorization-plugins", "tls", "tlsverify", "rootless", "selinux-enabled"]) {
    const value = values.get(key);
    if (value !== undefined && value !== false && value !== "") later(key);
  }
  const driver = values.get("storage-driver");
  if (driver !== undefined && driver !== "overlayfs" && driver !== "") {
    throw new Failure(
      "invalid_argument",
      `the storage driver ${String(driver)} is not supported: images belong to containerd and its overlayfs`,
    );
  }
  for (const option of (values.get("exec-opts") as string[] | undefined) ?? []) {
    if (option !== "native.cgroupdriver=cgroupfs") throw bad(`exec option ${option} is not supported`);
  }
}

function bad(message: string): Failure {
  return new Failure("invalid_argument", message);
}

function readHost(text: string): string {
  if (text.startsWith("/")) return `unix://${text}`;
  if (/^unix:\/\/\/./.test(text) || /^tcp:\/\//.test(text)) return text;
  if (text.startsWith("fd://")) throw new Failure("unimplemented", "-H fd:// (socket activation) is not supported yet");
  throw bad(`invalid bind address (${text}): unsupported proto`);
}

function readRuntimes(value: unknown): Record<string, RuntimeSetting> {
  const runtimes: Record<string, RuntimeSetting> = {
    runc: { path: "", args: [], type: RUNC_SHIM },
    "io.containerd.runc.v2": { path: "", args: [], type: RUNC_SHIM },
  };
  for (const [name, setting] of Object.entries((value as Record<string, unknown> | undefined) ?? {})) {
    if (name === "runc" || name.startsWith("io.containerd.")) throw bad(`runtime name '${name}' is reserved`);
    const full =
      typeof setting === "string"
        ? { path: setting }
        : (setting as { path?: string; runtimeType?: string; runtimeArgs?: string[] });
    if ((full.runtimeArgs ?? []).length > 0)
      throw new Failure("unimplemented", `arguments for the runtime ${name} are not supported yet`);
    runtimes[name] = { path: full.path ?? "", args: [], type: full.runtimeType || RUNC_SHIM };
  }
  return runtimes;
}

function readUlimits(value: unknown): Ulimit[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) {
    return value.map((text: string) => {
      const match = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
      if (match === null) throw bad(`invalid ulimit argument: ${text}`);
      return { Name: match[1]!, Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
    });
  }
  return Object.values(value as Record<string, Ulimit>);
}

function checkLogDriver(driver: string, options: Readonly<Record<string, string>>): void {
  try {
    checkLogOptions(driver, options);
  } catch (thrown) {
    throw bad(`failed to set log opts: ${messageOf(thrown)}`);
  }
}

function readMode(mode: string): string {
  if (mode === "" || mode === "host" || mode === "private") return mode;
  throw bad(`invalid default cgroup namespace (${mode}); use "host" or "private"`);
}

function readMinimum(version: string): string {
  if (!/^\d+\.\d+$/.test(version)) throw bad(`invalid min-api-version: ${version}`);
  if (compareApiVersions(version, API_MIN) >= 0) return version;
  throw bad(`min-api-version ${version} is lower than ${API_MIN}, the oldest that is supported`);
}

function checkBip(bip: string): string {
  splitBip(bip);
  return bip;
}

function checkLabel(label: string): string {
  if (label.includes("=")) return label;
  throw bad(`bad attribute format: ${label}`);
}

/** The folder as the kernel knows it; made here, so that its name can be resolved. */
function realPath(path: string): string {
  if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  return existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), path.slice(dirname(path).length));
}
