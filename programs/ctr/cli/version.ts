// What this ctr says it is: the version of our containerd, or `ctr version` would warn that the two do not match. Its
// commands and outputs are those of the original's 1.6.

export const VERSION = "v2.2.0+gantry.0.1.0";
export const REVISION = "gantry";
export const PACKAGE = "github.com/containerd/containerd";
