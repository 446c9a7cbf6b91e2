// Leases: a name that keeps resources from being collected while someone still builds on them.
//
//     create ──▶ every call that carries the header `containerd-lease: <id>` adds what it makes ──▶ delete
//                                                                        └── or containerd.io/gc.expire passes
//
// Resources are named by type: "content" (digest), "snapshots/<snapshotter>" (key), "ingests" (ref), "images" (name).

import type { Labels } from "../values.ts";

export interface Lease {
  readonly id: string;
  readonly createdAt: number;
  readonly labels: Labels;
}

export interface LeaseResource {
  readonly id: string;
  readonly type: string;
}

export interface LeaseStore {
  /** An empty id asks for a generated one. */
  create(lease: { id: string; labels: Labels }): Promise<Lease>;
  /** With `sync` it resolves after the collection it made possible. */
  delete(id: string, sync: boolean): Promise<void>;
  list(filters: readonly string[]): Promise<Lease[]>;
  addResource(id: string, resource: LeaseResource): Promise<void>;
  deleteResource(id: string, resource: LeaseResource): Promise<void>;
  listResources(id: string): Promise<LeaseResource[]>;
}
