// The newest containerd, where it can be had: Debian has no package of it, and a test run must not depend on Go.
// Whoever wants these tests builds it once and names the folder:
//
//     GOBIN=/some/where go install github.com/containerd/containerd/v2/cmd/...@latest
//     GANTRY_NEWEST_CONTAINERD=/some/where npm test -- test/swap/shim

import { existsSync } from "node:fs";
import { join } from "node:path";

const folder = process.env["GANTRY_NEWEST_CONTAINERD"] ?? "";
const there = folder !== "" && existsSync(join(folder, "containerd"));

/** Null when it is not there. */
export const newest = there
  ? {
      containerd: join(folder, "containerd"),
      ctr: join(folder, "ctr"),
      shim: join(folder, "containerd-shim-runc-v2"),
    }
  : null;

export const skipNewest = newest !== null ? false : "GANTRY_NEWEST_CONTAINERD names no folder with containerd 2.x";
