// `runc update` beside the original: every flag and the file, what the control files hold afterwards, what is refused.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
const skip = existsSync(ORIGINAL) ? false : "the original runc is not installed";
const v1 = existsSync("/sys/fs/cgroup/memory") && !skip ? false : skip || "the machine has no cgroup v1";

const FILES: readonly (readonly [controller: string, file: string])[] = [
  ["memory", "memory.limit_in_bytes"],
  ["memory", "memory.memsw.limit_in_bytes"],
  ["memory", "memory.soft_limit_in_bytes"],
  ["cpu", "cpu.shares"],
  ["cpu", "cpu.cfs_period_us"],
  ["cpu", "cpu.cfs_quota_us"],
  ["cpu", "cpu.cfs_burst_us"],
  ["cpu", "cpu.idle"],
  ["cpuset", "cpuset.cpus"],
  ["cpuset", "cpuset.mems"],
  ["pids", "pids.max"],
  ["blkio", "blkio.bfq.weight"],
];

interface Pair {
  id: string;
  runtime: string;
}
let pairs: Pair[] = [];

before(() => {
  if (v1) return;
  pairs = [OURS, ORIGINAL].map((runtime) => {
    bench.configure(["sleep", "600"], (config: Config) => {
      config.linux.resources = {
        ...config.linux.resources,
        memory: { limit: 32 << 20, swap: 64 << 20, reservation: 16 << 20 },
        cpu: { shares: 100, quota: 500_000, period: 1_000_000, cpus: "0" },
        pids: { limit: 20 },
      };
    });
    const id = bench.newId();
    assert.equal(bench.runc(["run", "--detach", id], runtime).status, 0);
    return { id, runtime };
  });
});
after(() => {
  for (const { id, runtime } of pairs) bench.runc(["delete", "--force", id], runtime);
  bench[Symbol.dispose]();
});

function limits({ id, runtime }: Pair): Record<string, string> {
  const { cgroup_paths: paths } = JSON.parse(readFileSync(join(bench.rootOf(runtime), id, "state.json"), "utf8"));
  const read = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").trim() : "-");
  return Object.fromEntries(FILES.map(([controller, file]) => [file, read(`${paths[controller]}/${file}`)]));
}

/** Both with the same line; outcome and control files must be the same. */
function same(args: readonly string[], input = "", check: (theirs: Record<string, string>) => void = () => {}): void {
  const outcomes = pairs.map((pair) => {
    const { status } = bench.runc(["update", ...args, pair.id], pair.runtime, input);
    const error = status === 0 ? "" : bench.lastError(pair.runtime).replaceAll(/\/sys\/fs\S*\//g, "…/");
    return { status, error, ...limits(pair) };
  });
  assert.deepEqual(outcomes[0], outcomes[1]);
  check(limits(pairs[0]!));
}

describe("the same limits as under the original", { skip: v1 }, () => {
  const lines: readonly (readonly string[])[] = [
    ["--memory", "67108864"],
    ["--memory", "50M"],
    ["--memory", "50m", "--memory-swap", "90Mb"],
    ["--memory-swap", "128KiB"],
    ["--memory-swap", "-1"],
    ["--memory", "-1"],
    ["--memory", "64M", "--memory-swap", "64M"],
    ["--memory", "-1", "--memory-swap", "-1"],
    ["--memory", "32M"],
    ["--memory-reservation", "33554432"],
    ["--memory-reservation", "-1"],
    ["--kernel-memory", "50M"],
    ["--kernel-memory-tcp", "50M"],
    ["--cpu-share", "200"],
    ["--cpu-share", "0"],
    ["--cpu-quota", "600000"],
    ["--cpu-quota", "-1"],
    ["--cpu-period", "900000"],
    ["--cpu-period", "100000", "--cpu-quota", "30000"],
    ["--cpuset-cpus", "0-1"],
    ["--cpuset-cpus", "0", "--cpuset-mems", "0"],
    ["--cpuset-mems", "0"],
    ["--pids-limit", "10"],
    ["--pids-limit", "-1"],
    ["--blkio-weight", "500"],
    [],
  ];
  for (const line of lines) test(`update ${line.join(" ")}`, () => same(line));

  for (const [what, resources] of [
    ["memory and pids", { memory: { limit: 41943040, swap: 41943040 * 2 }, pids: { limit: 7 } }],
    ["every field of cpu", { cpu: { shares: 300, quota: 70_000, period: 140_000, cpus: "0", mems: "0" } }],
    ["block devices", { blockIO: { weight: 300 } }],
    ["nothing", {}],
    ["nulls", { memory: null, cpu: null }],
  ] as const) {
    test(`update --resources with ${what}, from a file and from standard input`, () => {
      const file = join(bench.path, "resources.json");
      writeFileSync(file, JSON.stringify(resources));
      if (what !== "nulls") same(["--resources", file]);
      else assert.equal(bench.runc(["update", "-r", file, pairs[0]!.id]).status, 0);
      if (what !== "nulls") same(["-r", "-"], JSON.stringify(resources));
    });
  }
});

describe("refused in the original's words", { skip: v1 }, () => {
  const lines: readonly (readonly string[])[] = [
    ["--memory", "x"],
    ["--memory", "5Q"],
    ["--cpu-share", "x"],
    ["--cpu-share", "-1"],
    ["--cpu-period", "1"],
    ["--cpu-quota", "x"],
    ["--cpu-quota", "1"],
    ["--cpuset-cpus", "900"],
    ["--cpuset-cpus", "x"],
    ["--cpu-rt-period", "x"],
    ["--cpu-rt-runtime", "x"],
    ["--pids-limit", "x"],
    ["--blkio-weight", "x"],
    ["--blkio-weight", "9999"],
    ["--l3-cache-schema", "L3:0=f"],
    ["--mem-bw-schema", "MB:0=20"],
    ["--resources", "/nonexist"],
  ];
  for (const line of lines) test(`update ${line.join(" ")}`, () => same(line));

  test("what is no JSON", () => {
    assert.equal(bench.runc(["update", "-r", "-", pairs[0]!.id], OURS, "{").status, 1);
    assert.match(bench.lastError(), /standard input is not valid JSON/);
  });
});

test("flags that are newer than the original here", { skip: v1 }, () => {
  const [ours] = pairs as [Pair];
  const update = (...args: string[]) => bench.runc(["update", ...args, ours.id]).status;
  for (const [flag, value, file] of [
    ["--cpu-burst", "10000", "cpu.cfs_burst_us"],
    ["--cpu-burst", "0", "cpu.cfs_burst_us"],
    ["--cpu-idle", "1", "cpu.idle"],
    ["--cpu-idle", "0", "cpu.idle"],
  ] as const) {
    assert.equal(update(flag, value), 0, bench.lastError());
    assert.equal(limits(ours)[file], value);
  }
  for (const [flag, value, wanted] of [
    ["--cpu-idle", "x", /^invalid value for cpu-idle: strconv\.ParseInt: parsing "x": invalid syntax$/],
    ["--cpu-idle", "3", /failed to write "3": .*cpu\.idle: invalid argument$/],
    ["--cpu-burst", "-1", /^invalid value for cpu-burst: strconv\.ParseUint: parsing "-1": invalid syntax$/],
  ] as const) {
    assert.equal(update(flag, value), 1);
    assert.match(bench.lastError(), wanted);
  }
});

test("a stopped container is not updated", () => {
  const id = bench.start(["true"]);
  while (bench.status(id) !== "stopped");
  assert.equal(bench.runc(["update", "--memory", "50M", id]).status, 1);
  bench.runc(["delete", "--force", id]);
});
