// The shim as sandboxer: the namespaces of a pod without a pause container.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ShimLab, skip } from "./shim-lab.ts";
import { namespacesOf, Pod } from "./shim-pod.ts";

test("a sandbox holds new namespaces, containers join them, and its stop ends them all", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "hostname; readlink /proc/self/ns/ipc; exec sleep 1000"]);
  const types = ["ipc", "uts", "pid", "network", "mount"].map((type) => ({ type }));
  await using pod = new Pod(lab, { hostname: "in-a-pod", linux: { namespaces: types } });
  await pod.create();
  assert.equal((await pod.status()).state, "SANDBOX_NOTREADY");
  const { pid } = await pod.start();
  const [own, held] = [namespacesOf("self"), namespacesOf(pid)];
  assert.deepEqual(
    held.map((name, at) => name === own[at]),
    [false, false, false, false, true, true],
  );
  const ready = await pod.service.sandboxStatus({ sandboxId: pod.id, verbose: true });
  assert.deepEqual([ready.state, ready.pid, ready.info], ["SANDBOX_READY", pid, { containers: "" }]);
  assert.deepEqual((await pod.service.platform({ sandboxId: pod.id })).platform!.os, "linux");

  const config = join(lab.path, "config.json");
  const spec = JSON.parse(readFileSync(config, "utf8")) as { linux: { namespaces: { type: string; path?: string }[] } };
  for (const one of spec.linux.namespaces) {
    if (one.type === "ipc" || one.type === "uts") one.path = `/proc/${pid}/ns/${one.type}`;
  }
  delete (spec as { hostname?: string }).hostname;
  writeFileSync(config, JSON.stringify(spec));
  const log = join(lab.folder, "out");
  await lab.create({ stdout: `file://${log}` });
  await lab.task.start({ id: lab.id });
  await lab.eventually("the output", () => existsSync(log) && readFileSync(log, "utf8").split("\n").length > 2);
  assert.equal(readFileSync(log, "utf8"), `in-a-pod\n${held[0]}\n`);

  const waiting = pod.wait();
  await pod.stop();
  assert.equal((await waiting).exitStatus, 0);
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
  assert.equal((await pod.status()).state, "SANDBOX_NOTREADY");
  await lab.eventually("the holder's end", () => !existsSync(`/proc/${pid}`));
  await lab.task.delete({ id: lab.id });
  // Without tasks, but with a sandbox.
  await lab.task.shutdown({ id: lab.id });
  await pod.service.pingSandbox({ sandboxId: pod.id });
  await pod.shutdown();
  await pod.assertGone();
});

test("the holder has nothing open, and goes on when the shim is killed", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const { pid } = await pod.start();
  const own = namespacesOf("self");
  assert.deepEqual(
    namespacesOf(pid).map((name, at) => name === own[at]),
    [false, false, false, true, true, true],
  );
  assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^Name:\s+sandbox$/m);
  await lab.eventually("its last descriptor's end", () => readdirSync(`/proc/${pid}/fd`).length === 0);
  await lab.killShim();
  assert.deepEqual(pod.holders(), [pid]);
  assert.equal(pod.ask("delete").status, 0);
  await pod.assertGone();
});

test("what a sandbox cannot be is refused in words, and a holder that dies is told with its code", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, { hostname: "x", linux: { namespaces: [{ type: "ipc" }] } });
  await assert.rejects(pod.start(), new RegExp(`sandbox ${pod.id}`));
  await pod.create("/nowhere");
  await assert.rejects(pod.create(), new RegExp(`sandbox ${pod.id}`));
  await assert.rejects(pod.start(), /namespaces: .*\/nowhere: no such file/);
  await pod.shutdown();
  await pod.assertGone();
  await using other = await ShimLab.start(["/bin/true"]);
  await using second = new Pod(other, null);
  await second.create();
  const { pid } = await second.start();
  process.kill(pid, "SIGKILL");
  assert.equal((await second.wait()).exitStatus, 137);
  await assert.rejects(second.start(), /has been started/);
  await assert.rejects(second.service.sandboxMetrics({ sandboxId: second.id }), /ask its containers/);
  await second.shutdown();
  await second.assertGone();
});
