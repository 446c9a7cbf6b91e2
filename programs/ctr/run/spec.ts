// The OCI document of a container from the command line's flags: the plain document first, then each flag's change, in
// the original's order.

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { Failure } from "../../../base/errors.ts";
import { splitCommas } from "../../../base/flags/values.ts";
import { parseJson } from "../../../base/json.ts";
import type { ImageConfig } from "../../../core/images/manifest.ts";
import { resolveUser } from "../../../core/rootfs/users.ts";
import type { Root } from "../../../core/rootfs/walk.ts";
import { ctrSpec } from "../../../core/spec/ctr.ts";
import { DEFAULT_PATH } from "../../../core/spec/defaults.ts";
import type { Mount, Namespace, Spec } from "../../../core/spec/oci.ts";
import { systemFailure } from "../cli/errors.ts";
import { parseLabels } from "../cli/format.ts";
import type { Invocation } from "../cli/invocation.ts";
import { addDevices } from "./devices.ts";
import { changeCapabilities, makePrivileged, secure } from "./security.ts";

export interface SpecSource {
  readonly namespace: string;
  readonly id: string;
  /** The command line's own; empty for the image's. */
  readonly args: readonly string[];
  /** Null when the root is a directory. */
  readonly image: ImageConfig | null;
  readonly root: Root | null;
  /** A directory that is the root; null when a snapshot is. */
  readonly rootPath: string | null;
}

/** `run -c`: the document is the file, as it is. */
export function specFromFile(path: string): Record<string, unknown> {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (thrown) {
    const { message } = systemFailure("open", path, thrown);
    throw new Failure("invalid_argument", `cannot load spec config file: ${message}`);
  }
  try {
    return parseJson(content) as Record<string, unknown>;
  } catch (thrown) {
    throw new Failure("invalid_argument", `cannot load spec config file: ${(thrown as Error).message}`);
  }
}

export function specFromFlags(call: Invocation, source: SpecSource): Spec {
  const config = source.image?.config ?? {};
  const { user } = resolveUser(source.root, call.string("user") || (config.User ?? ""), []);
  const imageArgs = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const spec = ctrSpec({
    namespace: source.namespace,
    id: source.id,
    args: source.args.length > 0 ? [...source.args] : imageArgs,
    env: [],
    cwd: call.string("cwd") || config.WorkingDir || "/",
    user,
    terminal: call.bool("tty"),
  });
  spec.process.env = environment(call, config.Env ?? []);
  if (source.rootPath !== null) spec.root.path = resolve(source.rootPath);
  spec.mounts.push(...call.list("mount").map(parseMount));
  if (call.bool("read-only")) spec.root.readonly = true;
  if (call.bool("privileged")) makePrivileged(spec, !call.bool("privileged-without-host-devices"));
  if (call.bool("net-host")) joinHostNetwork(spec);
  const annotations = { ...parseLabels(call.list("annotation")), ...parseLabels(call.list("label")) };
  if (Object.keys(annotations).length > 0) spec.annotations = annotations;
  changeCapabilities(spec, call.list("cap-add"), call.list("cap-drop"));
  secure(spec, call);
  limit(spec, call);
  for (const text of call.list("with-ns")) joinNamespace(spec, text);
  if (call.bool("allow-new-privs")) delete spec.process.noNewPrivileges;
  if (call.has("cgroup") && call.isSet("cgroup")) placeInCgroup(spec, call.string("cgroup"));
  for (const path of call.list("device")) addDevices(spec, path);
  if (call.string("hostname") !== "") spec.hostname = call.string("hostname");
  if (call.string("rootfs-propagation") !== "") spec.linux.rootfsPropagation = propagation(call);
  if (call.string("rdt-class") !== "") {
    Object.assign(spec.linux, { intelRdt: { closID: call.string("rdt-class") } });
  }
  return spec;
}

/** The image's, then the file's, then the flags'; a name without a value is passed over. */
function environment(call: Invocation, image: readonly string[]): string[] {
  const path = call.string("env-file");
  const added = [...(path === "" ? [] : readEnvFile(path)), ...call.list("env")];
  const byName = new Map<string, string>();
  for (const entry of image.length > 0 ? image : [DEFAULT_PATH]) byName.set(nameOf(entry), entry);
  for (const entry of added) {
    if (entry.includes("=")) byName.set(nameOf(entry), entry);
  }
  if (call.bool("tty")) byName.set("TERM", "TERM=xterm");
  if (call.bool("net-host")) byName.set("HOSTNAME", `HOSTNAME=${hostname()}`);
  return [...byName.values()];
}

function nameOf(entry: string): string {
  return entry.split("=", 1)[0]!;
}

function readEnvFile(path: string): string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (thrown) {
    throw systemFailure("open", path, thrown);
  }
}

/** "type=bind,src=/tmp,dst=/host,options=rbind:ro" */
export function parseMount(text: string): Mount {
  const mount: Mount = { destination: "" };
  for (const field of splitCommas(text)) {
    const equals = field.indexOf("=");
    if (equals < 0) throw new Failure("invalid_argument", "invalid mount specification: expected key=val");
    const [key, value] = [field.slice(0, equals), field.slice(equals + 1)];
    if (key === "type") mount.type = value;
    else if (key === "source" || key === "src") mount.source = value;
    else if (key === "destination" || key === "dst" || key === "target") mount.destination = value;
    else if (key === "options") mount.options = value.split(":");
    else throw new Failure("invalid_argument", `mount option "${key}" not supported`);
  }
  return mount;
}

function joinHostNetwork(spec: Spec): void {
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "network");
  for (const path of ["/etc/hosts", "/etc/resolv.conf"]) {
    spec.mounts.push({ destination: path, type: "bind", source: path, options: ["rbind", "ro"] });
  }
}

const NAMESPACES = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];

function joinNamespace(spec: Spec, text: string): void {
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new Failure(
      "invalid_argument",
      "joining a Linux namespace using --with-ns requires the format 'nstype:path'",
    );
  }
  const [type, path] = [text.slice(0, colon), text.slice(colon + 1)];
  if (!NAMESPACES.includes(type)) {
    throw new Failure("invalid_argument", `the Linux namespace type specified in --with-ns is not valid: ${type}`);
  }
  const joined: Namespace = { type: type as Namespace["type"], path };
  const at = spec.linux.namespaces.findIndex((one) => one.type === type);
  if (at < 0) spec.linux.namespaces.push(joined);
  else spec.linux.namespaces[at] = joined;
}

/** An empty path is a container without a cgroup of its own. */
function placeInCgroup(spec: Spec, path: string): void {
  if (path === "") delete spec.linux.cgroupsPath;
  else spec.linux.cgroupsPath = path;
}

function propagation(call: Invocation): string {
  const value = call.string("rootfs-propagation");
  if (/^(r?private|r?shared|r?slave|unbindable)$/.test(value)) return value;
  throw new Failure("invalid_argument", `rootfs-propagation ${value} not supported`);
}

const CPU_PERIOD = 100_000; // microseconds, what --cpus is a share of

function limit(spec: Spec, call: Invocation): void {
  const resources = (spec.linux.resources ??= {});
  const cpu: NonNullable<typeof resources.cpu> = {};
  const [quota, period] = [call.number("cpu-quota"), call.number("cpu-period")];
  if (call.has("cpus")) {
    const cpus = call.number("cpus");
    if (cpus > 0 && (call.isSet("cpu-quota") || call.isSet("cpu-period"))) {
      throw new Failure("invalid_argument", "cpus and quota/period should be used separately");
    }
    if (cpus > 0) Object.assign(cpu, { quota: Math.trunc(cpus * CPU_PERIOD), period: CPU_PERIOD });
    if (call.number("cpu-shares") > 0) cpu.shares = call.number("cpu-shares");
  }
  if (call.isSet("cpu-quota")) cpu.quota = quota;
  if (call.isSet("cpu-period")) cpu.period = period;
  if (call.string("cpuset-cpus") !== "") cpu.cpus = call.string("cpuset-cpus");
  if (call.string("cpuset-mems") !== "") cpu.mems = call.string("cpuset-mems");
  if (call.number("memory-limit") > 0) resources.memory = { limit: call.number("memory-limit") };
  if (Object.keys(cpu).length > 0) resources.cpu = orderedCpu(cpu);
  const files = call.number("rlimit-nofile");
  if (files > 0) spec.process.rlimits = [{ type: "RLIMIT_NOFILE", hard: files, soft: files }];
}

function orderedCpu(cpu: NonNullable<NonNullable<Spec["linux"]["resources"]>["cpu"]>): typeof cpu {
  const { shares, quota, period, ...rest } = cpu;
  return {
    ...(shares === undefined ? {} : { shares }),
    ...(quota === undefined ? {} : { quota }),
    ...(period === undefined ? {} : { period }),
    ...rest,
  };
}
