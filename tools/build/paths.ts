// Where the build reads and writes. `build/` holds what may be thrown away, `dist/` what ships.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const layout = {
  root,
  host: join(root, "host"),
  work: join(root, "build"),
  bin: join(root, "dist/bin"),
  /** Cargo's own folder; a shared one can be named to save builds. */
  cargo: process.env["CARGO_TARGET_DIR"] ?? join(root, "host/target"),
};
