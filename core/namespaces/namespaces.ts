// Namespaces: the rooms of one containerd. Nothing in one is seen from another; blobs are stored once for all.
// One exists from its creation or from the first thing made in it; it can be deleted when it is empty.

import type { Labels } from "../values.ts";

export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
}

export interface NamespaceStore {
  get(name: string): Promise<Namespace>;
  list(filter: string): Promise<Namespace[]>;
  create(namespace: Namespace): Promise<Namespace>;
  /** `fields`: "labels" or "labels.<key>"; null replaces all labels. */
  update(namespace: Namespace, fields: readonly string[] | null): Promise<Namespace>;
  delete(name: string): Promise<void>;
}
