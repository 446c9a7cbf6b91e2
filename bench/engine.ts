// The whole chain beside Docker: run, ps, exec, one idle shim, the idle daemons, and commits per run.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../test/lab.ts";
import { layout } from "../tools/build/paths.ts";
import type { Engine } from "../tools/start/engine.ts";
import { compare, type Figure, figure, type Side } from "./harness.ts";
import { type Memory, memoryOf, parentOf, sum } from "./memory.ts";
import { OriginalDocker } from "./original.ts";

interface Engines {
  ours: Engine;
  original: OriginalDocker;
  /** The command prefix of each side. */
  docker: readonly { label: string; command: string }[];
}

const SLEEPER = "bench-sleeper";

export async function* run(): AsyncGenerator<Figure> {
  await using lab = new Lab();
  await using original = new OriginalDocker();
  await original.start();
  await lab.engine.start();
  await lab.engine.haveBusybox();
  const docker = [
    { label: "gantry", command: `${join(layout.bin, "docker")} -H ${lab.engine.host}` },
    { label: "docker", command: `/usr/bin/docker -H ${original.host}` },
  ];
  yield* commands({ ours: lab.engine, original, docker });
}

async function* commands(engines: Engines): AsyncGenerator<Figure> {
  const side = (tail: string): Side[] =>
    engines.docker.map(({ label, command }) => ({ label, command: `${command} ${tail}` }));
  yield compare("docker run --rm busybox true (bridge)", side("run --rm busybox true"), { rounds: 7, batch: 2 });
  const none = side("run --rm --network none busybox true");
  yield compare("docker run --rm --network none busybox true", none, { rounds: 7, batch: 2 });
  const before = commitsOf(engines.ours);
  const runs = 5;
  for (let at = 0; at < runs; at++) engines.ours.docker("run", "--rm", "busybox", "true");
  const after = commitsOf(engines.ours);
  if (before !== null && after !== null) {
    yield figure("commits to disk per docker run --rm", "commits", { gantry: (after - before) / runs });
  }
  for (const one of side(`run -d --name ${SLEEPER} busybox sleep 1000`)) {
    const started = spawnSync("/bin/sh", ["-c", one.command], { encoding: "utf8" });
    if (started.status !== 0) throw new Error(`${one.label}: ${started.stderr}`);
  }
  yield compare("docker ps", side("ps"), { rounds: 10, batch: 5 });
  yield compare("docker exec C true", side(`exec ${SLEEPER} true`), { rounds: 8, batch: 3 });
  // A shim gives back what it can when it has rested for half a second.
  await sleep(1500);
  yield* memory(engines);
  for (const one of side(`rm -f ${SLEEPER}`)) spawnSync("/bin/sh", ["-c", one.command]);
}

function* memory(engines: Engines): Generator<Figure> {
  const shims = engines.docker.map(({ label, command }) => {
    const inspect = spawnSync("/bin/sh", ["-c", `${command} inspect -f '{{.State.Pid}}' ${SLEEPER}`]);
    return [label, memoryOf(parentOf(Number(String(inspect.stdout))))] as const;
  });
  yield* figures("one idle shim", Object.fromEntries(shims));
  const { dockerd, containerd } = engines.original.pids;
  const ours = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && serves(pid, engines.ours.places.run));
  yield* figures("idle daemons (all of them)", {
    gantry: sum(ours.map((pid) => memoryOf(Number(pid)))),
    docker: sum([memoryOf(dockerd), memoryOf(containerd)]),
  });
}

/** Whether a process is one of our daemons of this engine: its command line names the engine's run folder. */
function serves(pid: string, run: string): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return line.includes(run) && /(^|\/)(dockerd|containerd|docker-net)\0/.test(line);
  } catch {
    return false;
  }
}

function* figures(name: string, sides: Readonly<Record<string, Memory>>): Generator<Figure> {
  const pick = (key: keyof Memory) => Object.fromEntries(Object.entries(sides).map(([label, m]) => [label, m[key]]));
  yield figure(`${name}: RSS`, "kB", pick("rss"));
  yield figure(`${name}: PSS`, "kB", pick("pss"));
  yield figure(`${name}: private`, "kB", pick("private"));
  yield figure(`${name}: threads`, "threads", pick("threads"));
}

/** Commits that waited for the disk, as the daemons count them; null where the count cannot be asked for. */
function commitsOf(engine: Engine): number | null {
  const info = engine.docker("info", "-f", "{{json .}}");
  try {
    const status = (JSON.parse(info.stdout).DriverStatus ?? []) as [name: string, value: string][];
    const entry = status.find(([name]) => name === "Commits");
    return entry === undefined ? null : Number(entry[1]);
  } catch {
    return null;
  }
}
