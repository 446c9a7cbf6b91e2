// The daemon's own nouns, opened together: one database, its tables, the directories beside it, the collector.

import { join } from "node:path";
import type { Logger } from "../../base/log.ts";
import { Containers, containerTable } from "../../core/containers/store.ts";
import { ContentFiles } from "../../core/content/files.ts";
import { Blobs, contentTable } from "../../core/content/store.ts";
import { Exchange } from "../../core/events/exchange.ts";
import { Collector } from "../../core/gc/collector.ts";
import { Images, imageTable } from "../../core/images/store.ts";
import { Leases, leaseTable } from "../../core/leases/store.ts";
import { Database } from "../../core/metadata/database.ts";
import { Namespaces, namespaceTable } from "../../core/namespaces/store.ts";
import { SnapshotDirectories } from "../../core/snapshots/directories.ts";
import { OverlaySnapshots, snapshotTable } from "../../core/snapshots/overlay.ts";
import type { Unpacker } from "./call/unpack.ts";
import { eventFields, publishers } from "./publish.ts";

const TABLES = [containerTable, contentTable, imageTable, leaseTable, namespaceTable, snapshotTable];

export interface Stores {
  database: Database;
  exchange: Exchange;
  containers: Containers;
  blobs: Blobs;
  images: Images;
  leases: Leases;
  namespaces: Namespaces;
  snapshots: OverlaySnapshots;
  collector: Collector;
  /** Layer directories whose files are on the disk: their commit need not sync again. */
  synced: Set<string>;
  close(): Promise<void>;
}

export function openStores(options: { root: string; unpacker: Unpacker; log: Logger }): Stores {
  const { root, unpacker, log } = options;
  const warn = (message: string): void => log.warn(message);
  const database = Database.open({
    path: join(root, "io.containerd.metadata.v1.sqlite", "metadata.sqlite"),
    tables: TABLES,
    warn,
  });
  const exchange = new Exchange(eventFields);
  const events = publishers(exchange);
  const collect = (wait: boolean): Promise<void> => collector.after(wait);
  const leases = new Leases(database, collect);
  const files = new ContentFiles(join(root, "io.containerd.content.v1.content"));
  const blobs = new Blobs({ database, files, leases: leases.table, events: events.content });
  const images = new Images({ database, leases: leases.table, events: events.images, collect });
  const containers = new Containers(database, events.containers, collect);
  const synced = new Set<string>();
  const snapshots = new OverlaySnapshots({
    database,
    directories: new SnapshotDirectories(join(root, "io.containerd.snapshotter.v1.overlayfs")),
    leases: leases.table,
    events: events.snapshots,
    sync: async (path) => {
      if (!synced.delete(path)) await unpacker.sync(path);
    },
  });
  const occupants = [
    ["images", images.table],
    ["blobs", blobs.table],
    ["containers", containers.table],
    ['snapshots on "overlayfs" snapshotter', snapshots.table],
    ["leases", leases.table],
  ] as const;
  const namespaces = new Namespaces(database, occupants, events.namespaces);
  const collector = new Collector({ database, blobs, images, containers, snapshots, leases, warn });
  collector.schedule();
  const close = async (): Promise<void> => {
    collector.stop();
    await database.close();
  };
  return { database, exchange, containers, blobs, images, leases, namespaces, snapshots, collector, synced, close };
}
