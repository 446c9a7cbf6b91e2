// What is kept of a container, as one row. Written on create, on every change of state, and taken away on remove; what
// only matters while dockerd runs (who is attached, who waits) lives in container.ts.
//
//   created ──start──▶ running ⇄ paused
//      │                 │ exit
//      │                 ├──policy──▶ restarting ──▶ running
//      │                 └──────────▶ exited ──start──▶ running
//      └──remove──▶ removing ──▶ (no row)         dead: remove failed half way, is tried again at the next start

import { type Durability, defineTable, type TableDefinition } from "../../../core/metadata/database.ts";
import type { ContainerConfig, Dictionary, EndpointConfig, HostConfig } from "./config.ts";

export type Status = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";

export interface ContainerState {
  status: Status;
  oomKilled: boolean;
  pid: number;
  exitCode: number;
  error: string;
  /** RFC 3339 with nanoseconds; ZERO_TIME when it never happened. */
  startedAt: string;
  finishedAt: string;
  restartCount: number;
  /** Stopped by a person: "always" and "unless-stopped" then leave it alone. */
  manuallyStopped: boolean;
  /** It was started at least once, so its root may differ from the image. */
  everStarted: boolean;
}

/** One mount as inspect shows it, and as it goes into the runtime's document. */
export interface MountPoint {
  Type: "bind" | "volume" | "tmpfs";
  /** Of a volume. */
  Name: string;
  Source: string;
  Destination: string;
  Driver: string;
  Mode: string;
  RW: boolean;
  Propagation: string;
  /** Options of the runtime's mount entry. */
  options: string[];
  /** A volume without a name of its own; removed with the container when it is removed with -v or --rm. */
  anonymous: boolean;
  /** Whether an empty volume gets what the image has at its place. */
  copyUp: boolean;
  /** From --mount (shown apart in inspect). */
  fromMounts: boolean;
}

export interface PublishedPort {
  protocol: string;
  containerPort: number;
  hostIp: string;
  hostPort: number;
}

/** The endpoint of a bridge network while the container runs. */
export interface Endpoint {
  network: string;
  endpointId: string;
  netnsPath: string;
  address: string;
  prefixLength: number;
  gateway: string;
  mac: string;
  ports: PublishedPort[];
}

export interface ContainerRecord {
  id: string;
  /** Without the slash of the API. */
  name: string;
  createdAt: string;
  config: ContainerConfig;
  hostConfig: HostConfig;
  networks: Record<string, EndpointConfig>;
  /** The image as it was named, and its digest. */
  imageName: string;
  imageId: string;
  /** Digest of the manifest that fits this machine. */
  manifestDigest: string;
  snapshotter: string;
  path: string;
  args: string[];
  mounts: MountPoint[];
  endpoint: Endpoint | null;
  logPath: string;
  /** "json-file", "local" or "none". */
  logDriver: string;
  logOptions: Dictionary;
  /** "shim" when the shim writes the log, "fifo" when dockerd does; set by each start. */
  output: "shim" | "fifo" | null;
  state: ContainerState;
}

export const ZERO_TIME = "0001-01-01T00:00:00Z";

export const containerTable: TableDefinition<ContainerRecord> = defineTable<ContainerRecord>("containers", {
  encode: (record) => JSON.stringify(record),
  decode: (text) => checkRecord(JSON.parse(text) as ContainerRecord),
});

/** A row that does not hold a container is reported by the database and left out. */
function checkRecord(record: ContainerRecord): ContainerRecord {
  const sound =
    typeof record === "object" &&
    record !== null &&
    typeof record.id === "string" &&
    typeof record.name === "string" &&
    typeof record.state === "object" &&
    typeof record.config === "object" &&
    typeof record.hostConfig === "object" &&
    Array.isArray(record.mounts);
  if (!sound) throw new Error("not a container's record");
  return record;
}

/** What a power cut must not take: everything but the life of a container that removes itself. */
export function durabilityOf(record: ContainerRecord): Durability {
  return record.hostConfig.AutoRemove === true ? "running" : "acknowledged";
}

export function isRunning(state: ContainerState): boolean {
  return state.status === "running" || state.status === "paused" || state.status === "restarting";
}

/** Milliseconds since 1970 as Go prints time.RFC3339Nano in UTC. */
export function formatTime(milliseconds: number, nanoseconds = 0): string {
  const base = new Date(milliseconds).toISOString();
  const fraction = base.slice(20, 23) + String(nanoseconds).padStart(6, "0");
  const trimmed = fraction.replace(/0+$/, "");
  return `${base.slice(0, 19)}${trimmed === "" ? "" : `.${trimmed}`}Z`;
}

/** From protobuf's seconds and nanoseconds. */
export function formatTimestamp(seconds: number | bigint, nanos: number): string {
  const whole = Number(seconds) * 1000 + Math.floor(nanos / 1e6);
  return formatTime(whole, nanos % 1_000_000);
}

/** Wall time with the microseconds that JavaScript can tell. */
export function nowText(): string {
  const exact = performance.timeOrigin + performance.now();
  const milliseconds = Math.floor(exact);
  return formatTime(milliseconds, Math.floor((exact - milliseconds) * 1e6));
}
