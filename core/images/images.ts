// Images: names that point to a descriptor (an index or a manifest) in the content store.
//
//     create ──▶ update (the name moves to another target) ──▶ delete (what only it named becomes garbage)

import type { Descriptor, Labels } from "../values.ts";

export interface Image {
  /** A full reference: `docker.io/library/busybox:latest`. */
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Labels;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface ImageStore {
  get(name: string): Promise<Image>;
  list(filters: readonly string[]): Promise<Image[]>;
  create(image: Pick<Image, "name" | "target" | "labels">): Promise<Image>;
  /** `fields` as in a field mask: "target", "labels", "labels.<key>"; null replaces both. */
  update(image: Pick<Image, "name" | "target" | "labels">, fields: readonly string[] | null): Promise<Image>;
  /** With `sync` it resolves after the collection it made possible. */
  delete(name: string, options: { sync: boolean }): Promise<void>;
}
