// Garbage collection: what nothing refers to any more is removed, first the records, then the bytes.
//
//     roots: images, containers, leases, labels containerd.io/gc.root
//        └─▶ content ──gc.ref.content.*──▶ content ──gc.ref.snapshot.<snapshotter>──▶ snapshot ──parent──▶ snapshot
//
// Mark and the removal of records are one synchronous step, so nothing can come in between. It runs a moment after a
// deletion. Files that no record names are removed only when they are younger than the database: after a damaged
// database was set aside, the blobs and layers on disk are the only copy, and no record speaks for or against them.

import { statSync, unlinkSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import type { Containers } from "../containers/store.ts";
import type { Blobs } from "../content/store.ts";
import type { Images } from "../images/store.ts";
import type { LeaseRecord, Leases } from "../leases/store.ts";
import type { Database } from "../metadata/database.ts";
import { type OverlaySnapshots, SNAPSHOTTER } from "../snapshots/overlay.ts";
import type { Labels } from "../values.ts";

const SCHEDULE_DELAY = 100; // milliseconds from a deletion to the collection it asks for
const ACTIVE_GRACE = 30_000; // milliseconds that a snapshot nobody names yet is left alone after Prepare
const INGEST_IDLE = 24 * 3_600_000; // milliseconds without a write after which an ingest is given up
const ROOT = "containerd.io/gc.root";
const EXPIRE = "containerd.io/gc.expire";
const FLAT = "containerd.io/gc.flat";
const CONTENT_REFERENCE = /^containerd\.io\/gc\.ref\.content(\.|\/|$)/;
const IMAGE_REFERENCE = /^containerd\.io\/gc\.ref\.image(\.|\/|$)/;
const SNAPSHOT_REFERENCE = new RegExp(`^containerd\\.io/gc\\.ref\\.snapshot\\.${SNAPSHOTTER}(/|$)`);

interface Collected {
  content: number;
  snapshots: number;
}

export interface CollectorParts {
  database: Database;
  blobs: Blobs;
  images: Images;
  containers: Containers;
  snapshots: OverlaySnapshots;
  leases: Leases;
  warn: (message: string) => void;
}

export class Collector {
  private readonly parts: CollectorParts;
  private timer: NodeJS.Timeout | null = null;
  /** When the timer fires. */
  private due = 0;
  private running: Promise<Collected> | null = null;
  private warned = false;

  constructor(parts: CollectorParts) {
    this.parts = parts;
  }

  /** What the stores call after a deletion. */
  async after(wait: boolean): Promise<void> {
    if (wait) await this.collect();
    else this.schedule();
  }

  schedule(delay = SCHEDULE_DELAY): void {
    const due = Date.now() + delay;
    if (this.timer !== null && this.due <= due) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.collect().catch((thrown) => this.parts.warn(`garbage collection failed: ${messageOf(thrown)}`));
    }, delay);
    this.timer.unref();
  }

  /** One collection at a time; a call during one waits for it and then runs its own. */
  async collect(): Promise<Collected> {
    while (this.running !== null) await this.running.catch(() => {});
    this.running = this.run();
    try {
      return await this.running;
    } finally {
      this.running = null;
    }
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private async run(): Promise<Collected> {
    const { blobs, snapshots, leases, database } = this.parts;
    const collected = { content: 0, snapshots: 0 };
    const namespaces = new Set([
      ...blobs.table.namespaces(),
      ...snapshots.table.namespaces(),
      ...leases.table.namespaces(),
    ]);
    await database.change("running", (change) => {
      for (const namespace of namespaces) {
        const live = this.mark(namespace);
        for (const [id, lease] of leases.table.entries(namespace)) {
          if (expired(lease.labels)) change.remove(leases.table, [namespace, id]);
        }
        for (const digest of blobs.table.keys(namespace)) {
          if (live.content.has(digest)) continue;
          change.remove(blobs.table, [namespace, digest]);
          blobs.events.deleted(namespace, digest);
          collected.content++;
        }
        for (const key of snapshots.table.keys(namespace)) {
          if (live.snapshots.has(key)) continue;
          change.remove(snapshots.table, [namespace, key]);
          snapshots.parts.events.removed(namespace, key);
          collected.snapshots++;
        }
      }
    });
    this.removeBlobs();
    await this.removeIngests();
    await this.removeDirectories();
    return collected;
  }

  private mark(namespace: string): Live {
    const { blobs, images, containers, snapshots, leases } = this.parts;
    const live = new Live({
      content: (digest) => blobs.table.get(namespace, digest)?.labels ?? null,
      snapshot: (key) => snapshots.table.get(namespace, key),
      image: (name) => images.table.get(namespace, name),
    });
    for (const image of images.table.list(namespace)) {
      live.reach(image.target.digest);
      live.labels(image.labels);
    }
    for (const container of containers.table.list(namespace)) {
      if (container.snapshotter === SNAPSHOTTER) live.snapshot(container.snapshotKey);
      live.labels(container.labels);
    }
    for (const lease of leases.table.list(namespace)) if (!expired(lease.labels)) markLease(live, lease);
    for (const info of blobs.table.list(namespace)) if (ROOT in info.labels) live.reach(info.digest);
    const young = Date.now() - ACTIVE_GRACE;
    for (const { name, labels, kind, createdAt } of snapshots.table.list(namespace)) {
      if (ROOT in labels) live.snapshot(name);
      // Prepared a moment ago: the container that will name it may be its client's next call.
      if (kind === "committed" || createdAt < young || live.snapshots.has(name)) continue;
      live.snapshot(name);
      this.schedule(ACTIVE_GRACE);
    }
    return live;
  }

  /** Synchronous on purpose: a commit of the same digest is either before this check or after the unlink. */
  private removeBlobs(): void {
    const { files } = this.parts.blobs;
    for (const digest of files.digests()) {
      if (this.parts.blobs.isNamed(digest) || this.predates(files.blobPath(digest))) continue;
      unlinkSync(files.blobPath(digest));
    }
  }

  /** Nobody has written to them for so long that nobody will. */
  private async removeIngests(): Promise<void> {
    const { blobs } = this.parts;
    for (const ingest of await blobs.files.ingests()) {
      const idle = Date.now() - ingest.updatedAt;
      if (idle < INGEST_IDLE || blobs.held.has(ingest.name)) continue;
      await blobs.files.removeIngest(ingest.name);
    }
  }

  private async removeDirectories(): Promise<void> {
    const { snapshots } = this.parts;
    // Numbers are never used twice: one that no record names now, and that nobody is making, stays unnamed.
    const [present, used] = [snapshots.directories.numbers(), snapshots.used()];
    const unnamed = present.filter((number) => !used.has(number) && !snapshots.making.has(number));
    for (const number of unnamed) {
      if (!this.predates(snapshots.directories.fs(number))) await snapshots.directories.retire(number);
    }
    void snapshots.sweep();
  }

  private predates(path: string): boolean {
    let changed: number;
    try {
      changed = statSync(path).ctimeMs;
    } catch {
      return false;
    }
    if (changed >= this.parts.database.createdAt) return false;
    if (!this.warned)
      this.parts.warn(`${path} is older than the metadata database and is not collected, nor others like it`);
    this.warned = true;
    return true;
  }
}

interface Lookup {
  content(digest: string): Labels | null;
  snapshot(key: string): { parent: string; labels: Labels } | null;
  image(name: string): { target: { digest: string } } | null;
}

/** What was reached so far. An explicit stack is not needed: chains are as long as an image has layers. */
class Live {
  readonly content = new Set<string>();
  readonly snapshots = new Set<string>();
  private readonly lookup: Lookup;

  constructor(lookup: Lookup) {
    this.lookup = lookup;
  }

  reach(digest: string): void {
    if (this.content.has(digest)) return;
    const labels = this.lookup.content(digest);
    if (labels === null) return;
    this.content.add(digest);
    this.labels(labels);
  }

  snapshot(key: string): void {
    for (let next = key; next !== "" && !this.snapshots.has(next); ) {
      const record = this.lookup.snapshot(next);
      if (record === null) return;
      this.snapshots.add(next);
      this.labels(record.labels);
      next = record.parent;
    }
  }

  labels(labels: Labels): void {
    for (const [key, value] of Object.entries(labels)) {
      if (CONTENT_REFERENCE.test(key)) this.reach(value);
      else if (SNAPSHOT_REFERENCE.test(key)) this.snapshot(value);
      else if (IMAGE_REFERENCE.test(key)) this.reach(this.lookup.image(value)?.target.digest ?? "");
    }
  }

  /** The thing itself, without what it refers to. */
  flat(type: string, id: string): void {
    if (type === "content") this.content.add(id);
    else if (type === `snapshots/${SNAPSHOTTER}`) this.snapshot(id);
  }
}

function markLease(live: Live, lease: LeaseRecord): void {
  live.labels(lease.labels);
  for (const { type, id } of lease.resources) {
    if (FLAT in lease.labels) live.flat(type, id);
    else if (type === "content") live.reach(id);
    else if (type === `snapshots/${SNAPSHOTTER}`) live.snapshot(id);
  }
}

function expired(labels: Labels): boolean {
  const until = labels[EXPIRE];
  return until !== undefined && Date.parse(until) <= Date.now();
}
