// GET /version and GET /info: what this engine is, what it stands on, how much of everything there is.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { InfoResponse, VersionResponse } from "../../../api/engine/system.ts";
import { nowText } from "../containers/record.ts";
import type { Daemon } from "../daemon.ts";
import type { Engine } from "../engine.ts";
import { API_MAX, ENGINE_VERSION, PLATFORM_NAME } from "../version.ts";
import { findProgram } from "./programs.ts";

const run = promisify(execFile);
const VERSION_TIMEOUT_MS = 5000;
const ARCHITECTURE = "amd64";

export async function engineVersion(engine: Engine): Promise<VersionResponse> {
  const [containerd, runc, init] = await Promise.all([
    engine.containerd.version(),
    programVersion("runc", /version\s+(\S+)/),
    programVersion(engine.settings.initPath, /version\s+(\S+)/),
  ]);
  const { kernel } = engine.host;
  const details = {
    ApiVersion: API_MAX,
    MinAPIVersion: engine.settings.minApiVersion,
    Os: "linux",
    Arch: ARCHITECTURE,
  };
  return {
    Platform: { Name: PLATFORM_NAME },
    Components: [
      {
        Name: "Engine",
        Version: ENGINE_VERSION,
        Details: {
          ...details,
          KernelVersion: kernel,
          Experimental: String(engine.settings.experimental),
          GitCommit: "",
          GoVersion: "",
          BuildTime: "",
        },
      },
      { Name: "containerd", Version: containerd.version, Details: { GitCommit: containerd.revision } },
      { Name: "runc", Version: runc, Details: { GitCommit: "" } },
      { Name: "docker-init", Version: init, Details: { GitCommit: "" } },
    ],
    Version: ENGINE_VERSION,
    ...details,
    GitCommit: "",
    GoVersion: "",
    KernelVersion: kernel,
    BuildTime: "",
  };
}

const versions = new Map<string, Promise<string>>();

function programVersion(name: string, pattern: RegExp): Promise<string> {
  const path = name.startsWith("/") ? name : findProgram(name);
  if (path === null || path === "") return Promise.resolve("");
  let known = versions.get(path);
  if (known === undefined) {
    known = run(path, ["--version"], { timeout: VERSION_TIMEOUT_MS }).then(
      ({ stdout }) => pattern.exec(stdout)?.[1] ?? "",
      () => "",
    );
    versions.set(path, known);
  }
  return known;
}

export async function engineInfo(engine: Engine, daemon: Daemon): Promise<InfoResponse> {
  const { settings, host } = engine;
  const containers = engine.containers.all();
  const count = (status: string) => containers.filter(({ record }) => record.state.status === status).length;
  const running = count("running") + count("restarting");
  const [images, containerd] = await Promise.all([engine.images.grouped(), engine.containerd.version()]);
  return {
    ID: engineId(settings.dataRoot),
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: count("paused"),
    ContainersStopped: containers.length - running - count("paused"),
    Images: images.size,
    Driver: engine.containerd.snapshotter,
    DriverStatus: [
      ["driver-type", "io.containerd.snapshotter.v1"],
      ["Commits", String(engine.database.syncedCommits)],
    ],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: ["json-file", "local", "none"],
    },
    ...limitSupport(engine),
    IPv4Forwarding: true,
    Debug: settings.debug,
    NFd: 0,
    OomKillDisable: host.cgroupVersion === 1,
    NGoroutines: 0,
    SystemTime: nowText(),
    LoggingDriver: settings.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(host.cgroupVersion),
    NEventsListener: 0,
    KernelVersion: host.kernel,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: "linux",
    Architecture: "x86_64",
    ...registryFacts(settings.registryMirrors),
    NCPU: host.cpus,
    MemTotal: host.memory,
    GenericResources: null,
    DockerRootDir: settings.dataRoot,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: host.hostname,
    Labels: settings.labels,
    ExperimentalBuild: settings.experimental,
    ServerVersion: ENGINE_VERSION,
    Runtimes: Object.fromEntries(
      Object.entries(settings.runtimes).map(([name, runtime]) => [name, { path: runtime.path || name }]),
    ),
    DefaultRuntime: settings.defaultRuntime,
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: settings.liveRestore,
    Isolation: "",
    InitBinary: "docker-init",
    ContainerdCommit: { ID: containerd.revision },
    RuncCommit: { ID: "" },
    InitCommit: { ID: "" },
    SecurityOptions: ["name=seccomp,profile=builtin"],
    Warnings: host.swapLimit ? null : ["WARNING: No swap limit support"],
    StartedAt: daemon.startedAt,
  };
}

function registryFacts(mirrors: string[]): Pick<InfoResponse, "RegistryConfig"> & { IndexServerAddress: string } {
  return {
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: { InsecureRegistryCIDRs: ["127.0.0.0/8", "::1/128"], IndexConfigs: {}, Mirrors: mirrors },
  };
}

function limitSupport(engine: Engine): Record<string, boolean> {
  const { swapLimit } = engine.host;
  return {
    MemoryLimit: true,
    SwapLimit: swapLimit,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    BridgeNfIptables: false,
    BridgeNfIp6tables: false,
  };
}

/** Made once for a data root. */
function engineId(dataRoot: string): string {
  const path = join(dataRoot, "engine-id");
  if (existsSync(path)) return readFileSync(path, "utf8").trim();
  const hex = createHash("sha256").update(`${dataRoot} ${process.pid} ${Date.now()}`).digest("hex");
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
  writeFileSync(path, id, { mode: 0o600 });
  return id;
}
