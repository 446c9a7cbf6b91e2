// containerd's own snapshotter, on overlayfs: records in the metadata database, layers in SnapshotDirectories.
// One per daemon (OverlaySnapshots); `scoped` gives the contract for one call's namespace and lease.

import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { addToLease, type LeaseTable } from "../leases/store.ts";
import { type Database, defineTable, type Table } from "../metadata/database.ts";
import { checkLabels, type Labels, type Mount, mergeLabels, type Scope, withoutEmpty } from "../values.ts";
import type { SnapshotDirectories } from "./directories.ts";
import type { SnapshotInfo, SnapshotKind, SnapshotStore, SnapshotUsage } from "./snapshots.ts";

export const SNAPSHOTTER = "overlayfs";

export interface SnapshotRecord extends SnapshotInfo {
  /** Its directory. */
  readonly number: number;
  /** Of a committed one. */
  readonly usage: SnapshotUsage | null;
}

export const snapshotTable = defineTable<SnapshotRecord>("snapshots");

export interface SnapshotEvents {
  prepared(namespace: string, key: string, parent: string): void;
  committed(namespace: string, key: string, name: string): void;
  removed(namespace: string, key: string): void;
}

export interface SnapshotParts {
  database: Database;
  directories: SnapshotDirectories;
  leases: LeaseTable;
  events: SnapshotEvents;
  /** Writes a layer's files to the disk (syncfs); skipped for layers that Diff.Apply has synced. */
  sync: (path: string) => Promise<void>;
}

export class OverlaySnapshots {
  readonly table: Table<SnapshotRecord>;
  readonly directories: SnapshotDirectories;
  readonly parts: SnapshotParts;
  /** Directories being made whose record is not there yet. */
  readonly making = new Set<number>();
  private nextNumber: number;
  private sweeping: Promise<void> = Promise.resolve();

  constructor(parts: SnapshotParts) {
    this.parts = parts;
    this.directories = parts.directories;
    this.table = parts.database.table(snapshotTable);
    this.nextNumber = Math.max(0, ...this.directories.numbers(), ...this.used()) + 1;
  }

  scoped(scope: Scope): SnapshotStore {
    return {
      prepare: (key, parent, labels) => this.make(scope, { key, parent, labels, kind: "active" }),
      view: (key, parent, labels) => this.make(scope, { key, parent, labels, kind: "view" }),
      mounts: async (key) => this.mounts(scope.namespace, key),
      commit: (name, key, labels) => this.commit(scope, { name, key, labels }),
      remove: (key) => this.remove(scope, key),
      stat: async (key) => infoOf(this.record(scope.namespace, key)),
      update: (info, fields) => this.update(scope.namespace, info, fields),
      list: async (filters) => this.list(scope.namespace, filters),
      usage: (key) => this.usage(scope.namespace, key),
      cleanup: () => this.sweep(),
    };
  }

  /** Numbers that a record names. */
  used(): Set<number> {
    const numbers = new Set<number>();
    for (const namespace of this.table.namespaces()) {
      for (const record of this.table.list(namespace)) numbers.add(record.number);
    }
    return numbers;
  }

  /** Removes directories that were set aside, one sweep at a time. */
  sweep(): Promise<void> {
    this.sweeping = this.sweeping.catch(() => {}).then(() => this.directories.sweep());
    return this.sweeping;
  }

  private record(namespace: string, key: string): SnapshotRecord {
    const record = this.table.get(namespace, key);
    if (record === null) throw new Failure("not_found", `snapshot ${key} does not exist: not found`);
    return record;
  }

  private async make(
    scope: Scope,
    wanted: { key: string; parent: string; labels: Labels; kind: SnapshotKind },
  ): Promise<Mount[]> {
    const { namespace } = scope;
    if (wanted.key === "") throw new Failure("invalid_argument", "snapshot key must not be empty: invalid argument");
    checkLabels(wanted.labels);
    this.refuseTaken(namespace, wanted.key);
    const parent = wanted.parent === "" ? null : this.record(namespace, wanted.parent);
    if (parent !== null && parent.kind !== "committed") {
      throw new Failure("invalid_argument", `parent "${wanted.parent}" is not committed snapshot: invalid argument`);
    }
    const number = this.nextNumber++;
    this.making.add(number);
    try {
      await this.directories.make(number, { work: wanted.kind === "active", parent: parent?.number ?? null });
      const now = Date.now();
      const labels = withoutEmpty(wanted.labels);
      const { kind } = wanted;
      const record: SnapshotRecord = {
        ...{ name: wanted.key, parent: wanted.parent, kind, createdAt: now, updatedAt: now, labels },
        ...{ number, usage: null },
      };
      await this.parts.database.change("running", (change) => {
        this.refuseTaken(namespace, wanted.key);
        if (parent !== null) this.record(namespace, wanted.parent);
        change.put(this.table, [namespace, wanted.key], record);
        addToLease(this.parts.leases, change, { scope, type: `snapshots/${SNAPSHOTTER}`, id: wanted.key });
      });
    } catch (thrown) {
      await this.directories.retire(number);
      void this.sweep();
      throw thrown;
    } finally {
      this.making.delete(number);
    }
    this.parts.events.prepared(namespace, wanted.key, wanted.parent);
    return this.mounts(namespace, wanted.key);
  }

  private mounts(namespace: string, key: string): Mount[] {
    const record = this.record(namespace, key);
    if (record.kind === "committed") {
      throw new Failure("failed_precondition", `snapshot ${key} is not active: failed precondition`);
    }
    const chain = [record.number];
    for (let parent = record.parent; parent !== ""; ) {
      const below = this.record(namespace, parent);
      chain.push(below.number);
      parent = below.parent;
    }
    return this.directories.mounts(chain, record.kind === "active");
  }

  private async commit(scope: Scope, wanted: { name: string; key: string; labels: Labels }): Promise<void> {
    const { namespace } = scope;
    const active = this.record(namespace, wanted.key);
    if (active.kind !== "active") {
      throw new Failure("failed_precondition", `snapshot ${wanted.key} is not active: failed precondition`);
    }
    this.refuseTaken(namespace, wanted.name);
    checkLabels(wanted.labels);
    await this.parts.sync(this.directories.fs(active.number));
    const usage = await this.directories.usage(active.number);
    const now = Date.now();
    const { name, labels } = wanted;
    await this.parts.database.change("acknowledged", (change) => {
      this.refuseTaken(namespace, name);
      const current = this.record(namespace, wanted.key);
      change.remove(this.table, [namespace, wanted.key]);
      const committed = { ...current, name, labels: withoutEmpty(labels), usage };
      change.put(this.table, [namespace, name], { ...committed, kind: "committed", createdAt: now, updatedAt: now });
      addToLease(this.parts.leases, change, { scope, type: `snapshots/${SNAPSHOTTER}`, id: name });
    });
    this.parts.events.committed(namespace, wanted.key, name);
  }

  private async remove(scope: Scope, key: string): Promise<void> {
    const { namespace } = scope;
    const { number } = this.record(namespace, key);
    await this.parts.database.change(scope.acknowledged ? "acknowledged" : "running", (change) => {
      this.record(namespace, key);
      if (this.table.list(namespace).some((record) => record.parent === key)) {
        throw new Failure("failed_precondition", `cannot remove snapshot with child: failed precondition`);
      }
      change.remove(this.table, [namespace, key]);
    });
    await this.directories.retire(number);
    void this.sweep();
    this.parts.events.removed(namespace, key);
  }

  private async update(
    namespace: string,
    info: Pick<SnapshotInfo, "name" | "labels">,
    fields: readonly string[] | null,
  ): Promise<SnapshotInfo> {
    const current = this.record(namespace, info.name);
    for (const field of fields ?? []) {
      if (field === "labels" || field.startsWith("labels.")) continue;
      throw new Failure("invalid_argument", `cannot update ${field} field on snapshot "${info.name}"`);
    }
    const labels = mergeLabels(current.labels, info.labels, fields);
    checkLabels(labels);
    const next = { ...current, labels, updatedAt: Date.now() };
    await this.parts.database.change("running", (change) => change.put(this.table, [namespace, info.name], next));
    return infoOf(next);
  }

  private list(namespace: string, filters: readonly string[]): SnapshotInfo[] {
    const filter = parseFilters(filters);
    const all = this.table.list(namespace).filter((record) => {
      const fields = { name: record.name, parent: record.parent, kind: record.kind };
      return filter(fieldReader(fields, record.labels));
    });
    return all.map(infoOf);
  }

  private async usage(namespace: string, key: string): Promise<SnapshotUsage> {
    const record = this.record(namespace, key);
    return record.usage ?? (await this.directories.usage(record.number));
  }

  private refuseTaken(namespace: string, key: string): void {
    if (this.table.get(namespace, key) === null) return;
    throw new Failure("already_exists", `snapshot "${key}": already exists`);
  }
}

function infoOf(record: SnapshotRecord): SnapshotInfo {
  const { name, parent, kind, createdAt, updatedAt, labels } = record;
  return { name, parent, kind, createdAt, updatedAt, labels };
}
