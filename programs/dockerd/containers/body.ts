// The create body: what is refused, how it joins with the image's configuration, and which defaults fill the rest.

import type { ImageConfig } from "../../../api/engine/image.ts";
import { Failure } from "../../../base/errors.ts";
import { replaceEnvironment } from "../../../core/spec/docker.ts";
import type { Engine } from "../engine.ts";
import { portRequests } from "../networks/networks.ts";
import { checkLogOptions } from "../output/options.ts";
import type { ContainerConfig, CreateBody, HealthConfig, HostConfig } from "./config.ts";
import { Container } from "./container.ts";
import type { ContainerRecord } from "./record.ts";
import { parseSignal } from "./signals.ts";
import { readSecurityOptions } from "./spec.ts";

const RESTART_NAMES = ["", "no", "always", "on-failure", "unless-stopped"];
/** Nanoseconds; shorter health times are refused. */
const MIN_HEALTH_TIME = 1_000_000;

/** Throws invalid_argument for what cannot be; gives warnings for what will not have an effect. */
export function checkCreate(engine: Engine, body: CreateBody): string[] {
  const host = body.HostConfig ?? {};
  if (typeof host !== "object") throw new Failure("invalid_argument", "invalid JSON: HostConfig must be an object");
  checkShapes(body);
  checkRestart(host);
  if ((body.StopSignal ?? "") !== "") parseSignal(body.StopSignal!);
  if ((body.WorkingDir ?? "") !== "" && !body.WorkingDir!.startsWith("/")) {
    const path = body.WorkingDir;
    throw new Failure(
      "invalid_argument",
      `the working directory '${path}' is invalid, it needs to be an absolute path`,
    );
  }
  const runtime = host.Runtime ?? "";
  if (runtime !== "" && engine.settings.runtimes[runtime] === undefined) {
    throw new Failure("invalid_argument", `unknown or invalid runtime name: ${runtime}`);
  }
  checkHealth(body.Healthcheck ?? null);
  checkNetwork(engine, body);
  readSecurityOptions(host);
  const usernsHost = (host.UsernsMode ?? "") === "" || host.UsernsMode === "host";
  if (!usernsHost) throw new Failure("invalid_argument", `invalid user namespace mode: ${host.UsernsMode}`);
  if ((host.DeviceRequests ?? []).length > 0) {
    throw new Failure("invalid_argument", 'could not select device driver "" with capabilities: [[gpu]]');
  }
  const warnings: string[] = [];
  if ((host.Memory ?? 0) > 0 && !engine.host.swapLimit) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
  }
  return warnings;
}

/** Fields that would fail deep inside when a client sends another kind of value. */
function checkShapes(body: CreateBody): void {
  const refuse = (field: string, kind: string) => {
    throw new Failure("invalid_argument", `invalid JSON: cannot unmarshal into field ${field} of type ${kind}`);
  };
  const strings = (value: unknown) => value === null || value === undefined || isStrings(value);
  for (const field of ["Env", "Cmd", "Entrypoint", "OnBuild", "Shell"] as const) {
    if (!strings(body[field])) refuse(field, "[]string");
  }
  const host = (body.HostConfig ?? {}) as Record<string, unknown>;
  const lists = ["Binds", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "Links"];
  for (const field of [...lists, "SecurityOpt", "VolumesFrom"]) {
    if (!strings(host[field])) refuse(`HostConfig.${field}`, "[]string");
  }
  for (const field of ["Memory", "NanoCpus", "CpuShares", "CpuQuota", "CpuPeriod", "PidsLimit", "ShmSize"]) {
    const value = host[field];
    if (value !== undefined && value !== null && !Number.isSafeInteger(value)) refuse(`HostConfig.${field}`, "int64");
  }
  for (const field of ["Image", "User", "WorkingDir", "Hostname", "Domainname", "StopSignal"] as const) {
    const value = body[field];
    if (value !== undefined && value !== null && typeof value !== "string") refuse(field, "string");
  }
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

export function checkRestart(host: HostConfig): void {
  const policy = host.RestartPolicy;
  const name = policy?.Name ?? "";
  const count = policy?.MaximumRetryCount ?? 0;
  const refuse = (words: string) => new Failure("invalid_argument", `invalid restart policy: ${words}`);
  if (!RESTART_NAMES.includes(name)) {
    throw refuse(`unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  }
  if (count < 0) throw refuse("maximum retry count cannot be negative");
  if (count !== 0 && name !== "on-failure") {
    throw refuse("maximum retry count can only be used with 'on-failure'");
  }
  if (host.AutoRemove === true && name !== "" && name !== "no") {
    throw new Failure("invalid_argument", "can't create 'AutoRemove' container with restart policy");
  }
}

function checkHealth(health: HealthConfig | null): void {
  if (health === null) return;
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = health[field] ?? 0;
    if (value !== 0 && value < MIN_HEALTH_TIME) {
      const name = field.replace(/([a-z])([A-Z])/, "$1 $2");
      throw new Failure("invalid_argument", `${name} in Healthcheck cannot be less than 1ms`);
    }
  }
  if ((health.Retries ?? 0) < 0) {
    throw new Failure("invalid_argument", "Retries in Healthcheck cannot be negative");
  }
}

function checkNetwork(engine: Engine, body: CreateBody): void {
  const host = body.HostConfig ?? {};
  const mode = engine.networks.mode(host);
  if (mode.kind === "container") engine.containers.find(mode.reference);
  if ((host.Links ?? []).length > 0) {
    throw new Failure("unimplemented", "links between containers are not supported yet");
  }
  const probe = new Container({ config: body, hostConfig: host } as ContainerRecord);
  const ports = portRequests(probe);
  if (ports.length > 0 && mode.kind === "container") {
    throw new Failure("invalid_argument", "conflicting options: port publishing and the container type network mode");
  }
}

/** The image's words where the client said nothing; environment and labels are joined. */
export function mergeConfig(body: CreateBody, image: ImageConfig): ContainerConfig {
  const { HostConfig: _host, NetworkingConfig: _network, ...config } = body;
  const merged: ContainerConfig = { ...config };
  merged.Env = replaceEnvironment(image.Env ?? [], config.Env ?? []);
  merged.Labels = { ...image.Labels, ...config.Labels };
  merged.ExposedPorts = { ...image.ExposedPorts, ...config.ExposedPorts };
  // Published ports are exposed ones, too.
  for (const port of Object.keys(body.HostConfig?.PortBindings ?? {})) merged.ExposedPorts[port] ??= {};
  if ((config.User ?? "") === "") merged.User = image.User ?? "";
  if ((config.WorkingDir ?? "") === "") merged.WorkingDir = image.WorkingDir ?? "";
  if ((config.StopSignal ?? "") === "" && image.StopSignal) merged.StopSignal = image.StopSignal;
  merged.Volumes = { ...image.Volumes, ...config.Volumes };
  const entrypoint = config.Entrypoint ?? [];
  if (entrypoint.length === 0) {
    if ((config.Cmd ?? []).length === 0) merged.Cmd = image.Cmd ?? null;
    // [""] asks for none, where the image has one.
    merged.Entrypoint = image.Entrypoint ?? null;
  } else if (entrypoint.length === 1 && entrypoint[0] === "") merged.Entrypoint = null;
  const health = mergeHealth(config.Healthcheck ?? null, image.Healthcheck ?? null);
  if (health !== null) merged.Healthcheck = health;
  else delete merged.Healthcheck;
  return merged;
}

function mergeHealth(own: HealthConfig | null, image: HealthConfig | null): HealthConfig | null {
  if (own === null || image === null) return own ?? image;
  if ((own.Test ?? []).length > 0) return own;
  const merged: HealthConfig = { ...image };
  for (const [name, value] of Object.entries(own)) {
    if (value !== 0 && name !== "Test") Object.assign(merged, { [name]: value });
  }
  return merged;
}

export function normaliseHostConfig(engine: Engine, given: HostConfig): HostConfig {
  const host: HostConfig = { ...given };
  const { settings } = engine;
  if ((host.NetworkMode ?? "") === "" || host.NetworkMode === "default") {
    host.NetworkMode = engine.networks.hasBridge ? "bridge" : "none";
  }
  host.ShmSize = host.ShmSize || settings.defaultShmSize;
  host.IpcMode = host.IpcMode || "private";
  host.CgroupnsMode =
    host.CgroupnsMode || settings.cgroupnsMode || (engine.host.cgroupVersion === 2 ? "private" : "host");
  host.RestartPolicy = {
    Name: host.RestartPolicy?.Name || "no",
    MaximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
  };
  // The daemon's options are for its own driver, also when a client names that one.
  const Type = host.LogConfig?.Type || settings.logDriver;
  const Config = { ...(Type === settings.logDriver ? settings.logOptions : {}), ...host.LogConfig?.Config };
  checkLogOptions(Type, Config);
  host.LogConfig = { Type, Config };
  host.Runtime = host.Runtime || settings.defaultRuntime;
  host.AutoRemove = host.AutoRemove === true;
  host.Privileged = host.Privileged === true;
  return host;
}
