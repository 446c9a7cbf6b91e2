// What this ctr says it is: its commands and outputs are those of this version of the original.

export const VERSION = "1.6.20+gantry";
export const REVISION = "";
export const PACKAGE = "github.com/containerd/containerd";
