// `runc events`: the numbers, under the original's names; kills for want of memory; its end with the container's.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

const limited = (config: Config) => {
  config.linux.resources = {
    ...config.linux.resources,
    memory: { limit: 24 << 20 },
    cpu: { shares: 512, quota: 50_000, period: 100_000, cpus: "0" },
    pids: { limit: 50 },
  };
};

/** All names of members, as paths. */
function names(value: unknown, at = ""): string[] {
  if (Array.isArray(value)) return [`${at}[]`];
  if (typeof value !== "object" || value === null) return [at];
  return Object.entries(value).flatMap(([name, part]) => names(part, `${at}.${name}`));
}
/** Members that are zero may be left out, and these come and go. */
const PASSING = /^\.data\.(cpu\.throttling|blkio|memory\.(raw|cache))/;

test("--stats tells what the original tells, by the same names", both, () => {
  const busy = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat /bin/busybox >/tmp/x; sleep 60"];
  const told = [OURS, ORIGINAL].map((runtime) => {
    bench.configure(busy, limited);
    const id = bench.newId();
    assert.equal(bench.runc(["run", "--detach", id], runtime).status, 0);
    const until = Date.now() + 1500;
    while (Date.now() < until);
    const result = JSON.parse(bench.runc(["events", "--stats", id], runtime).stdout);
    bench.runc(["delete", "--force", id], runtime);
    return result;
  });
  const [ours, theirs] = told.map((one) =>
    names(one)
      .filter((name) => !PASSING.test(name))
      .sort(),
  );
  assert.deepEqual(ours, theirs);
  assert.deepEqual(told[0].data.cpuset, told[1].data.cpuset);
  assert.equal(told[0].data.memory.usage.limit, 24 << 20);
  assert.deepEqual(Object.keys(told[0].data.memory.raw), Object.keys(told[1].data.memory.raw));
});

async function follow(id: string, interval: string, until: (lines: string[]) => boolean): Promise<Config[]> {
  const line = ["--root", bench.rootOf(OURS), "events", "--interval", interval, id];
  const child = spawn(OURS, line, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (part) => (text += part));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const lines = () => text.split("\n").filter(Boolean);
  const limit = Date.now() + 20_000;
  while (!until(lines()) && Date.now() < limit) await sleep(20);
  bench.runc(["delete", "--force", id]);
  assert.equal(await ended, 0);
  return lines().map((one) => JSON.parse(one));
}

test("without --stats it tells the numbers again and again, and ends with the container", async () => {
  const id = bench.start(["sleep", "60"], limited);
  const told = await follow(id, "50ms", (lines) => lines.length >= 3);
  assert.ok(told.length >= 3);
  for (const one of told) assert.deepEqual([one.type, one.id], ["stats", id]);
});

test("a kill for want of memory is told", async () => {
  const hungry = "sleep 1; tail /dev/zero; tail /dev/zero; sleep 60";
  const id = bench.start(["sh", "-c", hungry], limited);
  const told = await follow(id, "100s", (lines) => lines.length >= 2);
  assert.deepEqual(told.slice(0, 2), [
    { type: "oom", id },
    { type: "oom", id },
  ]);
});

test("an interval of nothing and a stopped container are refused", () => {
  const id = bench.start(["true"]);
  bench.runc(["events", "--interval", "0s", id]);
  assert.equal(bench.lastError(), "duration interval must be greater than 0");
  while (bench.status(id) !== "stopped");
  assert.equal(bench.runc(["events", id]).status, 1);
  assert.equal(bench.lastError(), `container with id ${id} is not running`);
  bench.runc(["delete", "--force", id]);
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
