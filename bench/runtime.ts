// `runc run true` and `runc exec true` beside crun and runc. Goal: half of crun.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { layout } from "../tools/build/paths.ts";
import { makeBundle } from "./bundle.ts";
import { compare, type Figure, type Side } from "./harness.ts";

const OURS = join(layout.bin, "runc");
const RUNTIMES = [
  { label: "gantry", path: OURS },
  { label: "crun", path: "/usr/bin/crun" },
  { label: "runc", path: "/usr/sbin/runc" },
];

export function* run(): Generator<Figure> {
  leaveHybrid();
  using bundle = makeBundle(["true"]);
  const root = (label: string) => `--root ${join(bundle.path, `state-${label}`)}`;
  const sides: Side[] = RUNTIMES.map(({ label, path }) => ({
    label,
    command: `${path} ${root(label)} run bench-${label}-${process.pid}`,
    cwd: bundle.path,
  }));
  yield compare("runc run true, back to back", sides, { rounds: 15, batch: 4 });
  const spaced = sides.map((side) => ({ ...side, command: `sleep 0.12; ${side.command}` }));
  yield compare("runc run true, after 120 ms of idleness", spaced, { rounds: 8, batch: 2 });
  yield* execFigures(bundle.path, root);
}

function* execFigures(path: string, root: (label: string) => string): Generator<Figure> {
  using sleeper = makeBundle(["sleep", "1000"]);
  const id = (label: string) => `bench-exec-${label}-${process.pid}`;
  const started = RUNTIMES.filter(({ label, path: runtime }) => {
    const line = `exec ${runtime} ${root(label)} run -d ${id(label)} </dev/null >/dev/null 2>&1`;
    return spawnSync("/bin/sh", ["-c", line], { cwd: sleeper.path, stdio: "ignore" }).status === 0;
  });
  try {
    const sides = started.map(({ label, path: runtime }) => ({
      label,
      command: `${runtime} ${root(label)} exec ${id(label)} true`,
      cwd: path,
    }));
    yield compare("runc exec true", sides, { rounds: 15, batch: 4 });
    const states = sides.map((side) => ({ ...side, command: side.command.replace(/ exec (\S+) true$/, " state $1") }));
    yield compare("runc state", states, { rounds: 10, batch: 4 });
  } finally {
    for (const { label, path: runtime } of started) {
      spawnSync("/bin/sh", ["-c", `${runtime} ${root(label)} delete --force ${id(label)}`], { stdio: "ignore" });
    }
  }
}

/** crun refuses a hybrid cgroup layout. main.ts runs in a mount namespace of its own (see there), so the v2 part can go
 *  for all sides alike. */
function leaveHybrid(): void {
  spawnSync("umount", ["/sys/fs/cgroup/unified"], { stdio: "ignore" });
}
