// What this runtime calls itself.

/** The runtime-spec version that `state`, hooks and `--version` name. */
export const SPEC_VERSION = "1.3.0";
export const VERSION = "1.4.0-gantry";
