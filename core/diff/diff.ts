// Differences: a layer's archive applied to a snapshot, and two snapshots' difference made into a blob.

import type { Descriptor, Labels, Mount } from "../values.ts";

export interface DiffService {
  /** Unpacks the blob that `layer` names into the mounts; durable when it resolves. Gives the descriptor of the
   *  uncompressed archive, whose digest is the layer's diff id. */
  apply(layer: Descriptor, mounts: readonly Mount[]): Promise<Descriptor>;
  /** Makes a blob of what turns `lower` into `upper`. */
  compare(
    lower: readonly Mount[],
    upper: readonly Mount[],
    options: { mediaType: string; ref: string; labels: Labels },
  ): Promise<Descriptor>;
}
