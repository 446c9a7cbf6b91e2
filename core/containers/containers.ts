// Containers: what is needed to run a task, kept as a record. A container is no process: that is its task.
//
//     create ──▶ update ──▶ delete            (task: created ▶ running ▶ stopped, any number of times in between)

import type { Labels, TypedValue } from "../values.ts";

export interface Container {
  readonly id: string;
  readonly labels: Labels;
  /** The name of the image it was made from; empty when made from a root directory. */
  readonly image: string;
  readonly runtime: { readonly name: string; readonly options: TypedValue | null };
  /** The OCI runtime spec, as JSON in a typed value. */
  readonly spec: TypedValue | null;
  readonly snapshotter: string;
  readonly snapshotKey: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly extensions: Readonly<Record<string, TypedValue>>;
  readonly sandbox: string;
}

export type NewContainer = Omit<Container, "createdAt" | "updatedAt">;

export interface ContainerStore {
  get(id: string): Promise<Container>;
  list(filters: readonly string[]): Promise<Container[]>;
  create(container: NewContainer): Promise<Container>;
  /** `fields`: "labels", "labels.<key>", "spec", "extensions", "image", "snapshotkey", "runtime"; null replaces all. */
  update(container: NewContainer, fields: readonly string[] | null): Promise<Container>;
  delete(id: string): Promise<void>;
}
