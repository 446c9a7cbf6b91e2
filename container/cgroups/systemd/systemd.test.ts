// Names of units from linux.cgroupsPath, annotations and resources as properties: what is said to systemd, without it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readResources } from "../../spec/schema.ts";
import { devicePolicy } from "../devices.ts";
import { bitsOf, deviceProperties, resourceProperties, withRoundedQuota } from "./properties.ts";
import { expandSlice, type Property, planUnit, sliceOf } from "./unit.ts";

const plain = { id: "c1", annotations: {}, user: false };
const INFINITY = (1n << 64n) - 1n;
const shown = (properties: readonly Property[]) =>
  Object.fromEntries(properties.map(([name, { signature, value }]) => [name, [signature, value]]));
const resources = (text: object) => readResources(text as never, "resources");
const v2 = (text: object, version = 252) =>
  shown(resourceProperties(resources(text), { unified: true, version: () => version }));

test("cgroupsPath names slice, prefix and name, and without it the scope is named after the container", () => {
  const named = planUnit({ ...plain, cgroupsPath: "a-b.slice:docker:4f2a" });
  assert.deepEqual([named.name, sliceOf(named)], ["docker-4f2a.scope", "a-b.slice"]);
  const unnamed = planUnit({ ...plain, cgroupsPath: "" });
  assert.deepEqual([unnamed.name, sliceOf(unnamed)], ["runc-c1.scope", "system.slice"]);
  assert.equal(sliceOf(planUnit({ ...plain, cgroupsPath: ":x:y", user: true })), "user.slice");
  assert.equal(planUnit({ ...plain, cgroupsPath: "a.slice::a-b.slice" }).name, "a-b.slice");
});

test("a cgroupsPath of another form, or one that would leave its slice, is refused", () => {
  const expected = /expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "\/x" instead/;
  assert.throws(() => planUnit({ ...plain, cgroupsPath: "/x" }), expected);
  assert.throws(() => planUnit({ ...plain, cgroupsPath: "a.slice:x:../../y" }), /invalid unit name/);
  assert.throws(() => planUnit({ ...plain, cgroupsPath: "../a.slice:x:y" }), /invalid slice name: \.\.\/a\.slice/);
});

test("each dash in a slice's name is a level of directories", () => {
  assert.equal(expandSlice("a.slice"), "/a.slice");
  assert.equal(expandSlice("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
  assert.equal(expandSlice("-.slice"), "");
  for (const slice of ["a", ".slice", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice"]) {
    assert.throws(() => expandSlice(slice), /invalid slice name/, slice);
  }
});

test("annotations give properties, in seconds for what the bus counts in microseconds", () => {
  const prefix = "org.systemd.property";
  const annotations = {
    [`${prefix}.TimeoutStopSec`]: "5",
    [`${prefix}.CollectMode`]: "'inactive-or-failed'",
    other: "x",
  };
  assert.deepEqual(shown(planUnit({ ...plain, cgroupsPath: "", annotations }).properties), {
    TimeoutStopUSec: ["t", 5_000_000n],
    CollectMode: ["s", "inactive-or-failed"],
  });
  const half = planUnit({ ...plain, cgroupsPath: "", annotations: { [`${prefix}.TimeoutStopSec`]: "0.5" } });
  assert.deepEqual(shown(half.properties), { TimeoutStopUSec: ["t", 500_000n] });
  for (const [key, text, sentence] of [
    ["a_b", "1", /name incorrect: contains non-alphabetic character/],
    ["ab", "1", /name incorrect: too short/],
    ["Foo", "'x", /annotation org\.systemd\.property\.Foo='x value parse error: unexpected EOF/],
    ["TimeoutStopSec", "'x'", /value parse error: not a number/],
  ] as const) {
    const bad = { [`${prefix}.${key}`]: text };
    assert.throws(() => planUnit({ ...plain, cgroupsPath: "", annotations: bad }), sentence);
  }
});

test("resources become properties of cgroup v2", () => {
  const given = {
    memory: { limit: 100, reservation: 50, swap: 150 },
    cpu: { shares: 512, quota: 33333, period: 100000, cpus: "0-1,9", mems: "0" },
    pids: { limit: -1 },
  };
  assert.deepEqual(v2(given), {
    MemoryMax: ["t", 100n],
    MemoryLow: ["t", 50n],
    MemorySwapMax: ["t", 50n],
    CPUWeight: ["t", 20n],
    CPUQuotaPeriodUSec: ["t", 100_000n],
    CPUQuotaPerSecUSec: ["t", 340_000n],
    TasksMax: ["t", INFINITY],
    AllowedCPUs: ["ay", Uint8Array.of(3, 2)],
    AllowedMemoryNodes: ["ay", Uint8Array.of(1)],
  });
  assert.equal(withRoundedQuota(resources(given)).cpu!.quota, 34_000n);
  assert.deepEqual(v2({ cpu: { quota: -1 } }), { CPUQuotaPerSecUSec: ["t", INFINITY] });
  assert.deepEqual(v2({ memory: { limit: -1 } }), { MemoryMax: ["t", INFINITY], MemorySwapMax: ["t", INFINITY] });
});

test("an idle container has the weight 0 where systemd knows that, whatever its shares", () => {
  assert.deepEqual(v2({ cpu: { idle: 1, shares: 1024 } }), { CPUWeight: ["t", 0n] });
  assert.deepEqual(v2({ cpu: { idle: 1 } }, 250), {});
  assert.deepEqual(v2({ unified: { "cpu.idle": "1", "cpu.weight": "5" } }), { CPUWeight: ["t", 0n] });
});

test("resources become properties of cgroup v1", () => {
  const given = { memory: { limit: 100, reservation: 50 }, cpu: { shares: 512 }, blockIO: { weight: 20 } };
  const properties = resourceProperties(resources(given), { unified: false, version: () => 252 });
  assert.deepEqual(shown(properties), {
    MemoryLimit: ["t", 100n],
    CPUShares: ["t", 512n],
    BlockIOWeight: ["t", 20n],
  });
});

test("files of the unified map become properties where systemd has them", () => {
  const unified = {
    ...{ "memory.high": "100", "memory.swap.max": "max", "pids.max": "0", "cpu.weight": "5" },
    ...{ "cpu.max": "50000 100000", "cpuset.cpus": "1", "hugetlb.2MB.max": "1" },
  };
  assert.deepEqual(v2({ unified }), {
    MemoryHigh: ["t", 100n],
    MemorySwapMax: ["t", INFINITY],
    TasksMax: ["t", 1n],
    CPUWeight: ["t", 5n],
    CPUQuotaPeriodUSec: ["t", 100_000n],
    CPUQuotaPerSecUSec: ["t", 500_000n],
    AllowedCPUs: ["ay", Uint8Array.of(2)],
  });
  for (const [file, value, sentence] of [
    ["a/b", "1", /unified resource "a\/b" must be a file name \(no slashes\)/],
    ["memory", "1", /must be in the form CONTROLLER\.PARAMETER/],
    ["memory.max", "x", /value conversion error/],
    ["cpu.max", "1 2 3", /value invalid/],
    ["cpuset.cpus", "3-1", /invalid range: 3-1/],
  ] as const) {
    assert.throws(() => v2({ unified: { [file]: value } }), sentence);
  }
});

test("a list of processors is a mask with the lowest byte first", () => {
  assert.deepEqual(bitsOf("0-7, 9"), Uint8Array.of(0xff, 2));
  assert.deepEqual(bitsOf("15"), Uint8Array.of(0, 0x80));
  for (const list of ["", "x", "1-", "2-1", "-1", "99999999999"]) assert.throws(() => bitsOf(list), Error, list);
});

test("device rules become a list, or the word for all", () => {
  const last = deviceProperties(devicePolicy([])).at(-1)!;
  const list = last[1].value as [string, string][];
  assert.equal(last[0], "DeviceAllow");
  assert.deepEqual(list.slice(0, 2), [
    ["block-*", "m"],
    ["char-*", "m"],
  ]);
  assert.ok(list.some(([path, access]) => path === "/dev/char/1:3" && access === "rwm"));
  assert.ok(list.some(([path]) => path === "char-136"));
  const all = { allow: true, type: "a", major: null, minor: null, access: "rwm" };
  assert.deepEqual(shown(deviceProperties(devicePolicy([all]))), {
    DeviceAllow: ["a(ss)", []],
    DevicePolicy: ["s", "auto"],
  });
});
