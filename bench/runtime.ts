// The runtime beside crun and runc: a whole cycle (`run true`) and each command of a container's life, with a plain
// bundle and with Docker's, back to back and after idleness; a cycle within 4 MiB; and all of it once more while a
// thousand other containers live. Goals: half of crun in cycle and exec, no slower in the others.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { layout } from "../tools/build/paths.ts";
import { type Bundle, type BundleKind, makeBundle } from "./bundle.ts";
import type { Figure } from "./harness.ts";
import { type Course, compareSteps } from "./steps.ts";

const OURS = join(layout.bin, "runc");
const RUNTIMES = [
  { label: "gantry", path: OURS },
  { label: "crun", path: "/usr/bin/crun" },
  { label: "runc", path: "/usr/sbin/runc" },
];
/** Seconds. */
const IDLENESS = 0.12;
const CROWD = 1000;
const CROWD_AT_ONCE = 20;

export function* run(): Generator<Figure> {
  leaveHybrid();
  using roots = new StateRoots();
  yield* figures(roots, "plain", "");
  yield* figures(roots, "docker", ", as Docker");
  using small = makeBundle(["true"], "small");
  yield* compareSteps("run true in 4 MiB", cycles(roots, small), { rounds: 20, idle: 0 });
}

/** The same while many other containers wait for their start: a part of its own, since it takes minutes. */
export function* runCrowded(): Generator<Figure> {
  leaveHybrid();
  using roots = new StateRoots();
  using _crowd = new Crowd(roots);
  yield* figures(roots, "plain", `, beside ${CROWD} containers`);
}

function* figures(roots: StateRoots, kind: BundleKind, suffix: string): Generator<Figure> {
  using once = makeBundle(["true"], kind);
  using sleeper = makeBundle(["sleep", "1000"], kind);
  yield* compareSteps(`runc${suffix}`, cycles(roots, once), { rounds: 40, idle: 0 });
  yield* compareSteps(`runc${suffix}, spaced`, cycles(roots, once), { rounds: 15, idle: IDLENESS });
  yield* compareSteps(`runc${suffix}`, lives(roots, sleeper), { rounds: 25, idle: 0 });
  yield* compareSteps(`runc${suffix}, spaced`, lives(roots, sleeper), { rounds: 10, idle: IDLENESS });
}

function cycles(roots: StateRoots, bundle: Bundle): Course[] {
  return RUNTIMES.map(({ label, path }) => {
    const [runtime, id] = [`${path} --root ${roots.of(label)}`, idOf(label)];
    const steps = [{ name: "run", command: `${runtime} run ${id}` }];
    return { label, cwd: bundle.path, steps, tidy: `${runtime} delete --force ${id}` };
  });
}

function lives(roots: StateRoots, bundle: Bundle): Course[] {
  return RUNTIMES.map(({ label, path }) => {
    const [runtime, id] = [`${path} --root ${roots.of(label)}`, idOf(label)];
    const pidFile = join(bundle.path, `${label}.pid`);
    const steps = [
      { name: "create", command: `${runtime} create --pid-file ${pidFile} ${id}` },
      { name: "state", command: `${runtime} state ${id}` },
      { name: "start", command: `${runtime} start ${id}` },
      { name: "exec", command: `${runtime} exec ${id} true` },
      { name: "kill", command: `${runtime} kill ${id} KILL` },
      { name: null, command: `while grep -sq "^State:.[^Z]" /proc/$(cat ${pidFile})/status; do sleep 0.01; done` },
      { name: "delete", command: `${runtime} delete ${id}` },
    ];
    return { label, cwd: bundle.path, steps, tidy: `${runtime} delete --force ${id}` };
  });
}

function idOf(label: string): string {
  return `bench-${label}-${process.pid}`;
}

/** Where the runtimes keep their records: in memory, as /run is. */
class StateRoots implements Disposable {
  readonly #path = join("/run", `gantry-bench-${process.pid}`);

  constructor() {
    mkdirSync(this.#path);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "gantry-bench", this.#path]);
    if (mounted.status !== 0) throw new Error(`no tmpfs for the runtimes' state: ${mounted.stderr}`);
  }

  of(label: string): string {
    return join(this.#path, label);
  }

  [Symbol.dispose](): void {
    spawnSync("umount", [this.#path]);
    rmdirSync(this.#path);
  }
}

/** Made by ours, in the same state root as those that are measured. */
class Crowd implements Disposable {
  readonly #bundle = makeBundle(["sleep", "1000"]);
  readonly #runtime: string;

  constructor(roots: StateRoots) {
    this.#runtime = `${OURS} --root ${roots.of("gantry")}`;
    try {
      this.#each("create crowd-$i </dev/null >/dev/null 2>&1");
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  #each(command: string): void {
    const body = `${this.#runtime} ${command} || exit 9`;
    const loop = `i=$0; while [ $i -lt ${CROWD} ]; do ${body}; i=$((i+${CROWD_AT_ONCE})); done`;
    const begin = `for n in $(seq 0 ${CROWD_AT_ONCE - 1}); do busybox sh -c '${loop}' $n & p="$p $!"; done`;
    const all = `${begin}; for one in $p; do wait $one || exit 9; done`;
    const result = spawnSync("/bin/bash", ["-c", all], { cwd: this.#bundle.path, stdio: "ignore" });
    if (result.status !== 0) throw new Error(`the crowd: ${command} failed`);
  }

  [Symbol.dispose](): void {
    this.#each("delete --force crowd-$i");
    this.#bundle[Symbol.dispose]();
  }
}

/** crun refuses a hybrid cgroup layout. main.ts runs in a mount namespace of its own (see there), so the v2 part can go
 *  for all sides alike. */
function leaveHybrid(): void {
  spawnSync("umount", ["/sys/fs/cgroup/unified"], { stdio: "ignore" });
}
