// What people and clients read: durations, names, signals, and the look-up of containers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { humanDuration } from "../../../base/human.ts";
import { Container } from "./container.ts";
import { ContainerIndex } from "./index.ts";
import { checkName, generateName } from "./names.ts";
import { type ContainerRecord, formatTime } from "./record.ts";
import { parseSignal } from "./signals.ts";
import { statusText } from "./status.ts";

const DURATIONS: readonly (readonly [seconds: number, words: string])[] = [
  [0.4, "Less than a second"],
  [1, "1 second"],
  [59, "59 seconds"],
  [61, "About a minute"],
  [300, "5 minutes"],
  [3700, "About an hour"],
  [7300, "2 hours"],
  [86400 * 3, "3 days"],
  [86400 * 21, "3 weeks"],
  [86400 * 90, "3 months"],
  [86400 * 800, "2 years"],
];

for (const [seconds, words] of DURATIONS) {
  test(`${seconds} seconds are "${words}"`, () => assert.equal(humanDuration(seconds * 1000), words));
}

test("the status of an ended container has its exit code and how long ago it was", () => {
  const state = { status: "exited", exitCode: 3, finishedAt: "2026-01-01T00:00:00Z" } as ContainerRecord["state"];
  assert.equal(statusText(state, null, Date.parse("2026-01-01T02:00:00Z")), "Exited (3) 2 hours ago");
});

test("a healthy container says so", () => {
  const state = { status: "running", startedAt: "2026-01-01T00:00:00Z" } as ContainerRecord["state"];
  assert.equal(statusText(state, "healthy", Date.parse("2026-01-01T00:05:00Z")), "Up 5 minutes (healthy)");
});

test("times have nine digits at most and no zeros at their end", () => {
  assert.equal(formatTime(Date.parse("2026-01-01T00:00:00.120Z"), 5), "2026-01-01T00:00:00.120000005Z");
  assert.equal(formatTime(Date.parse("2026-01-01T00:00:00Z")), "2026-01-01T00:00:00Z");
});

test("signals are known by name, with and without SIG, and by number", () => {
  assert.deepEqual(["SIGTERM", "term", "15", "KILL", "RTMIN+1", "rtmax"].map(parseSignal), [15, 15, 15, 9, 35, 64]);
  assert.throws(() => parseSignal("NOPE"), /invalid signal: NOPE/);
  assert.throws(() => parseSignal("65"), /invalid signal: 65/);
});

test("a name of one letter or with a slash inside is refused", () => {
  assert.throws(() => checkName("a"), /Invalid container name \(a\)/);
  assert.throws(() => checkName("a/b"), /Invalid container name/);
  checkName("ab");
});

test("a generated name avoids those that are taken", () => {
  const taken = new Set<string>();
  for (let count = 0; count < 500; count++) {
    const name = generateName(
      (one) => taken.has(one),
      (below) => Math.floor(Math.random() * below),
    );
    assert.ok(!taken.has(name));
    checkName(name);
    taken.add(name);
  }
});

function container(id: string, name: string): Container {
  return new Container({ id, name } as ContainerRecord);
}

test("a container is found by id, then by name, then by the beginning of its id alone", () => {
  const index = new ContainerIndex();
  index.add(container("aaa1", "bbb"));
  index.add(container("aaa2", "aaa1x"));
  assert.equal(index.find("aaa1").id, "aaa1");
  assert.equal(index.find("/bbb").id, "aaa1");
  assert.equal(index.find("aaa2").id, "aaa2");
  assert.throws(() => index.find("aaa"), /multiple IDs found with provided prefix: aaa/);
  assert.throws(() => index.find("zzz"), /No such container: zzz/);
});

test("a taken name is a conflict that tells who has it", () => {
  const index = new ContainerIndex();
  index.add(container("aaa1", "web"));
  assert.throws(
    () => index.reserve("web", "other"),
    /The container name "\/web" is already in use by container "aaa1"/,
  );
});
