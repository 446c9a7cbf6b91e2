// Sandboxes of the newest containerd with our shim as sandboxer: ctr makes one, runs containers in it and removes it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Chain, IMAGE, Stack, skipReason, until } from "./stack.ts";

const CHAIN: Chain = { ctr: "newest", containerd: "newest", "containerd-shim-runc-v2": "ours", runc: "ours" };

function runSandbox(stack: Stack, id: string) {
  const config = join(stack.folder, "pod.json");
  const namespaces = ["ipc", "uts", "pid"].map((type) => ({ type }));
  writeFileSync(config, JSON.stringify({ ociVersion: "1.0.2", hostname: "pod", linux: { namespaces } }));
  return stack.ctr("sandboxes", "run", config, id);
}

test("ctr runs containers in a sandbox of our shim, which outlives its daemon", {
  skip: skipReason(CHAIN),
}, async () => {
  await using stack = new Stack(CHAIN);
  await stack.start();
  const made = await runSandbox(stack, "s1");
  assert.deepEqual([made.status, made.stdout], [0, "s1\n"], made.stderr);
  assert.equal(stack.shims().length, 1);
  for (const id of ["c1", "c2"]) {
    const run = await stack.ctr("run", "-d", "--sandbox", "s1", IMAGE, id, "sleep", "1000");
    assert.equal(run.status, 0, run.stderr);
  }
  assert.equal(stack.shims().length, 1);
  const executed = await stack.ctr("tasks", "exec", "--exec-id", "e", "c2", "echo", "inside");
  assert.deepEqual([executed.status, executed.stdout], [0, "inside\n"]);
  await stack.stopContainerd("SIGKILL");
  await stack.startContainerd();
  const listed = (await stack.ctr("tasks", "ls")).stdout;
  assert.match(listed, /^c1\s+\d+\s+RUNNING$/m);
  const pid = Number(/^c2\s+(\d+)/m.exec(listed)![1]);
  for (const id of ["c1", "c2"]) {
    assert.equal((await stack.ctr("tasks", "rm", "-f", id)).status, 0);
    assert.equal((await stack.ctr("containers", "rm", id)).status, 0);
  }
  assert.equal(existsSync(`/proc/${pid}`), false);
  assert.equal(stack.shims().length, 1);
  const removed = await stack.ctr("sandboxes", "rm", "s1");
  assert.equal(removed.status, 0, removed.stderr);
  await until("the shim ends", () => stack.shims().length === 0);
  assert.equal((await stack.ctr("sandboxes", "ls")).stdout.includes("s1"), false);
  assert.doesNotMatch(readFileSync(join(stack.folder, "containerd.log"), "utf8"), /panic/);
  await until(`leftovers ${stack.leftovers().join("; ")}`, () => stack.leftovers().length === 0);
});

test("what a killed shim held of a sandbox is removed by a daemon that knows no taking over", {
  skip: skipReason(CHAIN),
}, async () => {
  await using stack = new Stack(CHAIN);
  await stack.start();
  assert.equal((await runSandbox(stack, "s2")).status, 0);
  assert.equal((await stack.ctr("run", "-d", "--sandbox", "s2", IMAGE, "c3", "sleep", "1000")).status, 0);
  const shim = stack.shims()[0]!;
  const holders = () => spawnSync("pgrep", ["-x", "-f", "sandbox s2"], { encoding: "utf8" }).stdout.trim();
  assert.notEqual(holders(), "");
  process.kill(shim, "SIGKILL");
  await until("the holder's end", () => holders() === "");
  await stack.ctr("tasks", "rm", "-f", "c3");
  await stack.ctr("containers", "rm", "c3");
  await stack.ctr("sandboxes", "rm", "s2");
  await until(`leftovers ${stack.leftovers().join("; ")}`, () => stack.leftovers().length === 0);
});
