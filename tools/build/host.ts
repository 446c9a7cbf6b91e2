// The Rust host: a static library that every QuickJS executable is linked with, and the bytecode compiler.

import { layout } from "./paths.ts";
import { run } from "./run.ts";
import { prepareEngine } from "./source.ts";

/** Cargo decides itself what is up to date. Run inside host/, whose .cargo/config.toml asks for a static executable. */
export function buildHost(): void {
  prepareEngine();
  run("cargo", ["build", "--release", "--quiet", "--locked", "--target-dir", layout.cargo], { cwd: layout.host });
}
