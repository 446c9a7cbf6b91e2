// The Rust host: a static library that every QuickJS executable is linked with, and the bytecode compiler. The library
// does without Rust's standard library (host/src/alone.rs) and is for musl's libc (docs/decisions/0014), the compiler
// is an ordinary program; so they have folders of their own, or each would be made anew because of the other.

import { join } from "node:path";
import { layout } from "./paths.ts";
import { run } from "./run.ts";
import { prepareCrates } from "./source.ts";

/** Cargo decides itself what is up to date. Run inside host/, whose .cargo/config.toml asks for a static executable. */
export function buildHost(): void {
  prepareCrates();
  const options = (folder: string) => ["--release", "--quiet", "--locked", "--target-dir", join(layout.cargo, folder)];
  run("cargo", ["build", "--bin", "compile", ...options("")], { cwd: layout.host });
  const library = ["--lib", "--crate-type", "staticlib", "--features", "alone"];
  const env = { ...process.env, CC: "musl-gcc" };
  run("cargo", ["rustc", ...library, ...options("alone")], { cwd: layout.host, env });
}
