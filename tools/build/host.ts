// The Rust host: a static library that every QuickJS executable is linked with, which does without Rust's standard
// library (host/src/alone.rs), and the bytecode compiler, which does not.

import { layout } from "./paths.ts";
import { run } from "./run.ts";
import { prepareCrates } from "./source.ts";

/** Cargo decides itself what is up to date. Run inside host/, whose .cargo/config.toml asks for a static executable. */
export function buildHost(): void {
  prepareCrates();
  const options = ["--release", "--quiet", "--locked", "--target-dir", layout.cargo];
  run("cargo", ["build", "--bin", "compile", ...options], { cwd: layout.host });
  const library = ["--lib", "--crate-type", "staticlib", "--features", "alone"];
  run("cargo", ["rustc", ...library, ...options], { cwd: layout.host });
}
