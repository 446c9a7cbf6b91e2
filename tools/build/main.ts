// `npm run build`: everything into dist/bin. Incremental: a step whose inputs are older than its output is skipped.
//
//     host/ ── cargo ──▶ libgantry_host.a ─┐
//     programs/… ─ esbuild ─ compile ─▶ x.bin ─┴─ cc ──▶ room ── x.bin run once ──▶ x.heap    (programs.ts, image.ts)
//                                              └─ cc with x.heap ──▶ dist/bin/{runc,docker,docker-init}     (link.ts)
//     programs/dockerd … ─ esbuild ─▶ one script ─▶ dist/bin/{dockerd,containerd,ctr}         (daemons.ts)
//
// Options: --debug keeps line numbers in the bytecode, so that a stack trace names them. --bytecode leaves out the heap
// images: programs run their top level at each start.

import { mkdirSync } from "node:fs";
import { buildDaemons } from "./daemons.ts";
import { buildHost } from "./host.ts";
import { linkExecutables } from "./link.ts";
import { installPackages } from "./packages.ts";
import { layout } from "./paths.ts";
import { compileExecutables } from "./programs.ts";

const debug = process.argv.includes("--debug");
mkdirSync(layout.bin, { recursive: true });
mkdirSync(layout.work, { recursive: true });
installPackages(
  ["gcc", "libseccomp-dev", "musl-tools"],
  ["/usr/bin/cc", "/usr/lib/x86_64-linux-gnu/libseccomp.a", "/usr/bin/musl-gcc"],
);
buildHost();
const scripts = await compileExecutables({ debug });
linkExecutables(scripts, process.argv.includes("--bytecode") ? "bytecode" : "image");
await buildDaemons();
