// Snapshots: layers of a file system, each on top of its parent.
//
//     Prepare(key, parent) ──▶ active ──Commit(name)──▶ committed ──▶ parent of further ones
//     View(key, parent)    ──▶ view (read-only)             │
//        │                                                  └── Remove: only when nothing stands on it
//        └── Remove
//
// Mounts of an active or view snapshot are handed out, never made here: the shim or containerd-unpack makes them where
// they are needed. An unpacked layer is an active snapshot `extract-<random> <chainID>` that was filled by Diff.Apply
// and then committed under its chain id, so a broken unpack leaves only something that collection removes.

import type { Labels, Mount } from "../values.ts";

export type SnapshotKind = "view" | "active" | "committed";

export interface SnapshotInfo {
  /** Key of an active snapshot or view, name of a committed one. */
  readonly name: string;
  /** Empty when it stands on nothing. */
  readonly parent: string;
  readonly kind: SnapshotKind;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Labels;
}

export interface SnapshotUsage {
  /** Bytes on disk of this layer alone. */
  readonly size: number;
  readonly inodes: number;
}

export interface SnapshotStore {
  prepare(key: string, parent: string, labels: Labels): Promise<Mount[]>;
  view(key: string, parent: string, labels: Labels): Promise<Mount[]>;
  mounts(key: string): Promise<Mount[]>;
  /** The key is gone afterwards. "already_exists" when the name is taken. */
  commit(name: string, key: string, labels: Labels): Promise<void>;
  /** "failed_precondition" when other snapshots stand on it. */
  remove(key: string): Promise<void>;
  stat(key: string): Promise<SnapshotInfo>;
  update(info: Pick<SnapshotInfo, "name" | "labels">, fields: readonly string[] | null): Promise<SnapshotInfo>;
  list(filters: readonly string[]): Promise<SnapshotInfo[]>;
  usage(key: string): Promise<SnapshotUsage>;
  /** Resolves when directories of removed snapshots are gone. */
  cleanup(): Promise<void>;
}
