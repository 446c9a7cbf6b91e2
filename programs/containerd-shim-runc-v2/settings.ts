// What a task was asked for, for its whole life: from the request that made it, or from the record that a killed shim
// left.

import type { Mount } from "../../api/containerd/gen/types.ts";
import type { RuncSettings } from "./call/runc.ts";

export interface ContainerSettings {
  id: string;
  runc: RuncSettings;
  rootfs: Mount[];
  /** The images to restore at the start; "" for a new container. */
  checkpoint: string;
  /** Where criu works; "" is a place in the bundle that goes away. */
  criuWork: string;
  /** The runtime's extra arguments of `create`: --no-pivot, --no-new-keyring. */
  createFlags: readonly string[];
  ioUid: number;
  ioGid: number;
}
