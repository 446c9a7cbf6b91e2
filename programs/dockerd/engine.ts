// What the parts of the daemon share: the records, the neighbours, the settings. Made once by daemon.ts; passed to
// every function that changes something, so that none of them reaches for globals.

import type { Clock } from "../../base/runtime.ts";
import type { Database, Table } from "../../core/metadata/database.ts";
import type { Containerd } from "./call/containerd/containerd.ts";
import type { Settings } from "./config/settings.ts";
import type { Container } from "./containers/container.ts";
import type { ExecTable } from "./containers/exec.ts";
import type { ContainerIndex } from "./containers/index.ts";
import type { ContainerRecord } from "./containers/record.ts";
import type { Images } from "./images/images.ts";
import type { Networks } from "./networks/networks.ts";
import type { FifoPool } from "./output/fifos.ts";
import type { Events } from "./system/events.ts";
import type { HostFacts } from "./system/host.ts";
import type { Volumes } from "./volumes/volumes.ts";

export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface Engine {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  readonly host: HostFacts;
  readonly database: Database;
  readonly records: Table<ContainerRecord>;
  readonly containers: ContainerIndex;
  readonly execs: ExecTable;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly events: Events;
  readonly fifos: FifoPool;
  /** The present connection; replaced after containerd came back. Throws "unavailable" while there is none. */
  readonly containerd: Containerd;
  /** Where our own containerd has the bundles of this engine's tasks; null with somebody else's containerd. */
  readonly bundles: string | null;
  /** Resolves when what the present connection's containerd knows of the containers is taken in. */
  readonly reconciled: Promise<unknown>;
  /** Set once a shutdown has begun: no restart any more. */
  readonly stopping: boolean;
  /** Work that nobody waits for but that a shutdown must let finish. */
  background(what: string, work: Promise<unknown>): void;
}

/** Rows of this daemon live in one namespace of the database. */
export const ROWS = "engine";

/** Writes the container's record as it is now. */
export function saveRunning(engine: Engine, container: Container): Promise<void> {
  return engine.database.change("running", (change) => {
    change.put(engine.records, [ROWS, container.id], container.record);
  });
}

/** Replaces the state by a changed copy: records are values, so that a failed write can be taken back. */
export function changeState(container: Container, changes: Partial<ContainerRecord["state"]>): void {
  container.record = { ...container.record, state: { ...container.record.state, ...changes } };
}
