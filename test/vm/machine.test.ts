// What the other tests of this folder take for granted of the virtual machine they run in.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { OURS } from "../bundle.ts";

test("the machine has cgroup v2 alone, with the controllers that limits need", () => {
  assert.match(readFileSync("/proc/self/cgroup", "utf8"), /^0::\/[^\n]*\n$/);
  const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
  for (const name of ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]) assert.ok(controllers.includes(name), name);
});

test("the first process is systemd, which is up and can be asked over its bus", () => {
  assert.equal(readFileSync("/proc/1/comm", "utf8"), "systemd\n");
  assert.ok(existsSync("/run/dbus/system_bus_socket"));
  assert.match(spawnSync("busctl", ["--list"], { encoding: "utf8" }).stdout, /^org\.freedesktop\.systemd1 /m);
});

test("the runtime of this checkout runs in it", () => {
  const result = spawnSync(OURS, ["--version"], { encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  assert.match(result.stdout, /^runc version /);
});
