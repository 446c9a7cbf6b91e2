// Cgroups on a machine with v2 alone, made in the file system: limits beside the original's and crun's, device rules,
// freezing, delegation, and the targets that are refused.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const CRUN = "/usr/bin/crun";
const ROOT = "/sys/fs/cgroup";

const directoryOf = (id: string) => {
  const pid = JSON.parse(bench.runc(["state", id]).stdout).pid;
  return `${ROOT}${readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length)}`;
};
const read = (id: string, file: string) => readFileSync(join(directoryOf(id), file), "utf8").trim();

function withCgroups(config: Config, ...options: readonly string[]): void {
  const namespaces = config.linux.namespaces as { type: string }[];
  if (!namespaces.some(({ type }) => type === "cgroup")) namespaces.push({ type: "cgroup" });
  const mount = config.mounts.find(({ type }: { type: string }) => type === "cgroup");
  mount.options = ["nosuid", "noexec", "nodev", "relatime", ...options];
}

function limited(config: Config): void {
  withCgroups(config, "ro");
  Object.assign(config.linux.resources, {
    memory: { limit: 104857600, reservation: 52428800, swap: 157286400 },
    cpu: { shares: 512, quota: 30000, period: 100000, cpus: "0", mems: "0" },
    pids: { limit: 77 },
    hugepageLimits: [{ pageSize: "2MB", limit: 4194304 }],
    blockIO: { throttleReadBpsDevice: [{ major: 254, minor: 0, rate: 1048576 }] },
    unified: { "memory.high": "99614720", "pids.max": "66" },
  });
}

test("every limit is in the cgroup's files, as the original and crun put it there", () => {
  const files =
    "memory.max memory.low memory.swap.max memory.high cpu.max cpu.weight cpuset.cpus cpuset.mems " +
    "pids.max hugetlb.2MB.max io.max";
  const script = `cd /sys/fs/cgroup && grep -H . ${files}; cat /proc/self/cgroup`;
  const [ours, original, crun] = [OURS, ORIGINAL, CRUN].map((runtime) => {
    bench.configure(["sh", "-c", script], (config) => {
      limited(config);
      // The newest that Debian's crun takes.
      config.ociVersion = "1.0.2";
    });
    // crun's own log is a file of another form.
    if (runtime === CRUN) {
      const ran = spawnSync(CRUN, ["run", bench.newId()], { cwd: bench.path, encoding: "utf8" });
      return `${ran.stdout}${ran.stderr}`;
    }
    return bench.runc(["run", bench.newId()], runtime).stdout;
  });
  assert.match(ours!, /^memory\.max:104857600$/m);
  assert.match(ours!, /^memory\.swap\.max:52428800$/m);
  assert.match(ours!, /^io\.max:254:0 rbps=1048576 wbps=max riops=max wiops=max$/m);
  assert.match(ours!, /^pids\.max:66$/m);
  assert.match(ours!, /^0::\/$/m);
  assert.equal(ours, original);
  assert.equal(ours, crun);
});

test("device rules allow what is listed and deny the rest, also after an update", () => {
  const disk = { type: "b", major: 254, minor: 0 };
  const id = bench.start(["sleep", "1000"], ({ linux }) => {
    linux.devices = [
      { ...disk, path: "/dev/disk", fileMode: 0o666 },
      { path: "/dev/forbidden", type: "c", major: 10, minor: 237, fileMode: 0o666 },
    ];
    linux.resources.devices.push({ ...disk, allow: true, access: "r" });
  });
  const look = () => {
    const tried = ["head -c 1 /dev/disk | wc -c", ": >>/dev/disk", ": </dev/forbidden", "head -c 1 /dev/zero | wc -c"];
    const script = tried.map((line) => `(${line}) 2>&1`).join("; ");
    return bench.runc(["exec", id, "sh", "-c", script]).stdout.trim().split("\n");
  };
  const [read, write, other, zero] = look();
  assert.deepEqual([read, zero], ["1", "1"]);
  for (const refused of [write, other]) assert.match(refused!, /Operation not permitted/);
  assert.equal(bench.runc(["update", "--pids-limit", "50", id]).status, 0, bench.lastError());
  assert.deepEqual(look(), [read, write, other, zero]);
  bench.runc(["delete", "--force", id]);
});

test("a paused container stands still, cannot be entered, and can be killed", () => {
  const id = bench.start(["sleep", "1000"]);
  assert.equal(bench.runc(["pause", id]).status, 0);
  assert.match(read(id, "cgroup.events"), /frozen 1/);
  assert.equal(bench.status(id), "paused");
  assert.equal(bench.runc(["exec", id, "true"]).status, 255);
  assert.equal(bench.runc(["resume", id]).status, 0);
  assert.equal(bench.runc(["exec", id, "true"]).status, 0);
  assert.equal(bench.runc(["pause", id]).status, 0);
  assert.equal(bench.runc(["kill", id, "KILL"]).status, 0);
  for (let round = 0; round < 100 && bench.status(id) !== "stopped"; round++) spawnSync("sleep", ["0.05"]);
  assert.equal(bench.status(id), "stopped");
  assert.equal(bench.runc(["delete", id]).status, 0);
  assert.deepEqual(bench.leftovers(), []);
});

test("update changes what it names and keeps the rest", () => {
  const id = bench.start(["sleep", "1000"], limited);
  const resources = JSON.stringify({
    memory: { limit: 209715200, swap: -1 },
    cpu: { quota: 50000, period: 200000, shares: 2048, idle: 0 },
    unified: { "memory.high": "max" },
  });
  assert.equal(bench.runc(["update", "--resources", "-", id], OURS, resources).status, 0, bench.lastError());
  const values = { "memory.max": "209715200", "memory.swap.max": "max", "cpu.max": "50000 200000", "pids.max": "66" };
  for (const [file, value] of Object.entries(values)) assert.equal(read(id, file), value, file);
  assert.equal(read(id, "memory.high"), "max");
  bench.runc(["delete", "--force", id]);
});

test("the numbers of events are those of the cgroup, under the original's names", () => {
  const id = bench.start(["sleep", "1000"], limited);
  const data = JSON.parse(bench.runc(["events", "--stats", id]).stdout).data;
  const theirs = spawnSync(ORIGINAL, ["--root", bench.rootOf(OURS), "events", "--stats", id], { encoding: "utf8" });
  const original = JSON.parse(theirs.stdout).data;
  for (const [name, value] of Object.entries(original)) {
    // Groups that the original leaves empty need not be there.
    if (Object.keys(value ?? {}).length > 0) assert.ok(name in data, name);
  }
  assert.equal(data.pids.limit, 66);
  assert.equal(data.memory.usage.limit, 104857600);
  assert.ok(data.cpu.usage.total > 0);
  bench.runc(["delete", "--force", id]);
});

test("a container that hands its cgroup on can still be entered", () => {
  const id = bench.start(["sleep", "1000"], (config) => withCgroups(config, "rw"));
  const script =
    "cd /sys/fs/cgroup && mkdir init && echo 1 >init/cgroup.procs && echo $$ >init/cgroup.procs && " +
    "echo +pids +memory >cgroup.subtree_control && mkdir job && cat job/cgroup.controllers";
  const handed = bench.runc(["exec", id, "sh", "-c", script]);
  assert.equal(handed.stdout, "memory pids\n", handed.stderr);
  assert.equal(bench.runc(["exec", id, "cat", "/proc/self/cgroup"]).stdout, "0::/init\n");
  assert.equal(bench.runc(["exec", "--cgroup", "job", id, "cat", "/proc/self/cgroup"]).stdout, "0::/job\n");
  assert.equal(bench.runc(["delete", "--force", id]).status, 0);
  assert.deepEqual(bench.leftovers(), []);
});

test("a container that asks for more memory than it may have is killed, and events says so", () => {
  bench.configure(["sh", "-c", "sleep 2; tail /dev/zero"], ({ linux }) => {
    linux.resources.memory = { limit: 20971520, swap: 20971520 };
  });
  const id = bench.newId();
  assert.equal(bench.runc(["run", "--detach", id]).status, 0, bench.lastError());
  const heard = spawnSync(OURS, ["--root", bench.rootOf(OURS), "events", id], { encoding: "utf8", timeout: 60_000 });
  assert.match(heard.stdout, /"type":"oom"/);
  bench.runc(["delete", "--force", id]);
});

const occupied = join(ROOT, `gantry-${bench.tag}`);
for (const [what, fill, sentence] of [
  ["a cgroup with processes", (pid: number) => writeFileSync(join(occupied, "cgroup.procs"), `${pid}`), /is not empty/],
  [
    "a frozen cgroup",
    () => writeFileSync(join(occupied, "cgroup.freeze"), "1"),
    /container's cgroup unexpectedly frozen/,
  ],
] as const) {
  test(`${what} is refused and left as it was`, () => {
    mkdirSync(occupied);
    const sleeper = spawnSync("sh", ["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], { encoding: "utf8" });
    const pid = Number(sleeper.stdout);
    try {
      fill(pid);
      bench.configure(["true"], ({ linux }) => {
        linux.cgroupsPath = `/gantry-${bench.tag}`;
      });
      assert.notEqual(bench.runc(["run", bench.newId()]).status, 0);
      assert.match(bench.lastError(), sentence);
      assert.ok(existsSync(`/proc/${pid}`));
      assert.ok(existsSync(occupied));
    } finally {
      process.kill(pid, "SIGKILL");
      for (let round = 0; round < 100 && readFileSync(join(occupied, "cgroup.procs"), "utf8") !== ""; round++) {
        spawnSync("sleep", ["0.05"]);
      }
      rmdirSync(occupied);
    }
    assert.deepEqual(bench.leftovers(), []);
  });
}
