// What this client calls itself. The number says which release of the original its behaviour follows.

export const CLIENT_VERSION = "29.0.0";
export const CLIENT_BUILD = "gantry";
