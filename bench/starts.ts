// Start of each program: `--version` of ours beside the original's.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { layout } from "../tools/build/paths.ts";
import { compare, type Figure } from "./harness.ts";

const ORIGINALS: Readonly<Record<string, string>> = {
  docker: "/usr/bin/docker",
  dockerd: "/usr/sbin/dockerd",
  containerd: "/usr/bin/containerd",
  ctr: "/usr/bin/ctr",
  runc: "/usr/sbin/runc",
  "containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2",
  "docker-init": "/usr/bin/tini",
};
const VERSION: Readonly<Record<string, string>> = { "containerd-shim-runc-v2": "-v" };

export function* run(): Generator<Figure> {
  for (const [name, original] of Object.entries(ORIGINALS)) {
    const ours = join(layout.bin, name);
    if (!existsSync(ours) || !existsSync(original)) continue;
    const flag = VERSION[name] ?? "--version";
    const sides = [
      { label: "gantry", command: `${ours} ${flag}` },
      { label: "original", command: `${original} ${flag}` },
    ];
    yield compare(`${name} ${flag}`, sides, { rounds: 8, batch: 4 });
  }
}
