// Hooks: where and when each kind runs, with which state and environment, and what a failing one undoes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };
const log = join(bench.path, "log");
const inside = join(bench.rootfs, "tmp/log");
const HOST_KINDS = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] as const;

/** A hook of the host's shell, or for startContainer of the container's. */
function hook(kind: string, script: string, more: Config = {}): Config {
  return [{ path: kind === "startContainer" ? "/bin/sh" : "/bin/busybox", args: ["sh", "-c", script], ...more }];
}

const lines = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : []);

test("all six kinds run in their order, the last but two inside the container", () => {
  rmSync(log, { force: true });
  bench.configure(["true"], (config) => {
    config.hooks = {};
    for (const kind of HOST_KINDS) config.hooks[kind] = hook(kind, `echo ${kind} >>${log}`);
    config.hooks.startContainer = hook("startContainer", "echo startContainer >>/tmp/log; pwd >>/tmp/log");
  });
  rmSync(inside, { force: true });
  assert.equal(bench.runc(["run", bench.newId()]).status, 0, bench.lastError());
  assert.deepEqual(lines(log), [...HOST_KINDS]);
  assert.deepEqual(lines(inside), ["startContainer", "/"]);
});

describe("a hook sees what it sees under the original", both, () => {
  const see = (into: string) =>
    `env | grep -E '^(FROM|OWN|PATH)=' | sort >>${into}; readlink /proc/self/ns/mnt | grep -c mnt >>${into}`;
  for (const env of [undefined, ["OWN=hook", "PATH=/bin"]]) {
    test(`its environment, ${env === undefined ? "when it names none" : "when it names its own"}`, () => {
      const seen = [OURS, ORIGINAL].map((runtime) => {
        rmSync(log, { force: true });
        rmSync(inside, { force: true });
        bench.configure(["true"], (config) => {
          config.process.env.push("FROM=config");
          config.hooks = {};
          for (const kind of HOST_KINDS) config.hooks[kind] = hook(kind, `echo ${kind} >>${log}; ${see(log)}`, { env });
          config.hooks.startContainer = hook("startContainer", see("/tmp/log"), { env });
        });
        const line = ["--root", bench.rootOf(runtime), "run", bench.newId()];
        const given = { PATH: "/usr/bin:/bin", FROM: "runtime" };
        assert.equal(spawnSync(runtime, line, { cwd: bench.path, env: given }).status, 0);
        return [lines(log), lines(inside)];
      });
      assert.deepEqual(seen[0], seen[1]);
    });
  }
});

for (const kind of ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"]) {
  test(`a failing ${kind} hook fails the start, and nothing is left`, () => {
    bench.configure(["sleep", "60"], (config) => {
      config.hooks = { [kind]: hook(kind, "echo out; echo err >&2; exit 5") };
    });
    assert.notEqual(bench.runc(["run", bench.newId()]).status, 0);
    const sentence = new RegExp(`error running ${kind} hook #0: exit status 5, stdout: out\n?, stderr: err`);
    assert.match(bench.lastError(), sentence);
    assert.deepEqual(bench.leftovers(), []);
  });
}

test("a failing poststop hook is only warned of", () => {
  bench.configure(["true"], (config) => (config.hooks = { poststop: hook("poststop", "exit 5") }));
  assert.equal(bench.runc(["run", bench.newId()]).status, 0);
});

test("a failing poststart hook of a created container ends it", () => {
  bench.configure(["sleep", "60"], (config) => (config.hooks = { poststart: hook("poststart", "exit 5") }));
  const id = bench.newId();
  assert.equal(bench.runc(["create", id]).status, 0);
  assert.equal(bench.runc(["start", id]).status, 1);
  assert.match(bench.lastError(), /error running poststart hook #0: exit status 5/);
  assert.equal(bench.status(id), "stopped");
  assert.equal(bench.runc(["delete", id]).status, 0);
});

test("a hook that takes longer than its timeout is killed, and fails", () => {
  const before = Date.now();
  bench.configure(["true"], (config) => (config.hooks = { createRuntime: hook("", "sleep 30", { timeout: 1 }) }));
  assert.equal(bench.runc(["run", bench.newId()]).status, 1);
  assert.match(bench.lastError(), /hook ran past specified timeout of 1\.0s/);
  assert.ok(Date.now() - before < 20_000);
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
