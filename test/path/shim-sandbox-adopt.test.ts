// A pod's shim is killed at each moment of the sandbox's life: the next one goes on with it, and in the end nothing is
// left of either.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ShimLab, skip } from "./shim-lab.ts";
import { namespacesOf, Pod } from "./shim-pod.ts";

const RUNNING = 2;

test("a sandbox that was only created is taken over as that, without a task, and can be started", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, { hostname: "kept", linux: { namespaces: [{ type: "uts" }, { type: "ipc" }] } });
  await pod.create();
  // What it is to be was read when it was created.
  rmSync(join(pod.bundle, "config.json"));
  await lab.killShim();
  await pod.adopt();
  const created = await pod.status();
  assert.deepEqual([created.state, created.pid, created.exitedAt], ["SANDBOX_NOTREADY", 0, null]);
  await assert.rejects(pod.create(), { code: "already_exists" });
  const { pid } = await pod.start();
  assert.deepEqual(
    namespacesOf(pid).map((name, at) => name === namespacesOf("self")[at]),
    [false, false, true, true, true, true],
  );
  assert.equal((await pod.status()).state, "SANDBOX_READY");
  await pod.shutdown();
  await pod.assertGone();
});

test("a ready sandbox keeps its namespaces and what is said of it, however often its shim is killed", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const { pid, createdAt } = await pod.start();
  const held = namespacesOf(pid);
  for (let round = 0; round < 3; round++) {
    const waiting = pod.wait().catch(() => "lost");
    await lab.killShim();
    assert.equal(await waiting, "lost");
    assert.deepEqual(namespacesOf(pid), held);
    await pod.adopt();
    const status = await pod.status();
    assert.deepEqual([status.state, status.pid, status.createdAt], ["SANDBOX_READY", pid, createdAt]);
    await assert.rejects(pod.start(), /has been started/);
  }
  const waiting = pod.wait();
  await pod.stop();
  const { exitStatus, exitedAt } = await waiting;
  assert.equal(exitStatus, 0);
  await lab.killShim();
  await pod.adopt();
  const stopped = await pod.status();
  assert.deepEqual([stopped.state, stopped.createdAt, stopped.exitedAt], ["SANDBOX_NOTREADY", createdAt, exitedAt]);
  assert.deepEqual(await pod.wait(), { exitStatus, exitedAt });
  await pod.stop();
  await pod.shutdown();
  await pod.assertGone();
});

test("the next shim takes over sandbox and containers, whichever of them it is asked by", { skip }, async () => {
  for (const by of ["sandbox", "task"] as const) {
    await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
    await using pod = new Pod(lab, { hostname: "in-a-pod", linux: { namespaces: [{ type: "uts" }, { type: "ipc" }] } });
    await pod.create();
    const { pid } = await pod.start();
    await pod.runContainer(pid);
    await lab.killShim();
    await (by === "sandbox" ? pod.adopt() : lab.adopt());
    const again = by === "sandbox" ? lab.startCommand(lab.id, lab.path, { action: "adopt" }) : pod.ask("adopt");
    assert.deepEqual([again.status, again.stdout.trim()], [0, lab.address], again.stderr);
    const task = await lab.task.state({ id: lab.id });
    assert.equal(task.status, RUNNING);
    assert.deepEqual(namespacesOf(task.pid).slice(0, 2), namespacesOf(pid).slice(0, 2));
    const verbose = await pod.service.sandboxStatus({ sandboxId: pod.id, verbose: true });
    assert.deepEqual([verbose.state, verbose.info], ["SANDBOX_READY", { containers: lab.id }]);
    const ends = [pod.wait(), lab.task.wait({ id: lab.id })];
    await pod.stop();
    assert.deepEqual(
      (await Promise.all(ends)).map(({ exitStatus }) => exitStatus),
      [0, 137],
    );
    await lab.task.delete({ id: lab.id });
    await pod.shutdown();
    await pod.assertGone();
  }
});

test("a start during which the shim is killed has happened or has not, and leaves no second holder", {
  skip,
}, async () => {
  for (let round = 0; round < 8; round++) {
    await using lab = await ShimLab.start(["/bin/true"]);
    await using pod = new Pod(lab, null);
    await pod.create();
    const asked = pod.start().catch(() => null);
    await sleep(Math.random() * 8);
    await lab.killShim();
    const told = await asked;
    await pod.adopt();
    const { state, pid } = await pod.status();
    if (told !== null) assert.deepEqual([state, pid], ["SANDBOX_READY", told.pid]);
    const now = state === "SANDBOX_READY" ? pid : (await pod.start()).pid;
    await lab.eventually("one holder", () => pod.holders().length === 1);
    assert.deepEqual(pod.holders(), [now]);
    await pod.shutdown();
    await pod.assertGone();
  }
});

test("a start that was written down and not confirmed is undone, and can be asked for again", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const { pid } = await pod.start();
  await lab.killShim();
  pod.rewrite((record) => void (record["createdAt"] = "0"));
  await pod.adopt();
  await lab.eventually("the holder's end", () => !existsSync(`/proc/${pid}`));
  assert.deepEqual([(await pod.status()).state, (await pod.status()).pid], ["SANDBOX_NOTREADY", 0]);
  await pod.start();
  assert.equal((await pod.status()).state, "SANDBOX_READY");
  await pod.shutdown();
  await pod.assertGone();
});

test("a stop during which the shim is killed is finished by the next one, and is no failure", { skip }, async () => {
  for (const delay of [0, 2, 4, 8, 16, 32]) {
    await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
    await using pod = new Pod(lab, null);
    await pod.create();
    await pod.runContainer((await pod.start()).pid);
    const asked = pod.stop().catch(() => null);
    await sleep(delay);
    await lab.killShim();
    await asked;
    await pod.adopt();
    await pod.stop();
    assert.equal((await pod.wait()).exitStatus, 0);
    assert.equal((await pod.status()).state, "SANDBOX_NOTREADY");
    assert.equal((await lab.task.state({ id: lab.id })).status, 3);
    await lab.task.delete({ id: lab.id });
    await pod.shutdown();
    await pod.assertGone();
  }
});

test("a holder that dies is told by the shim that took over, and one that died without a shim is over", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const { pid } = await pod.start();
  await lab.killShim();
  await pod.adopt();
  const waiting = pod.wait();
  process.kill(pid, "SIGKILL");
  assert.equal((await waiting).exitStatus, 137);
  await pod.shutdown();
  await pod.assertGone();
  for (const [asked, code] of [
    [false, 255],
    [true, 0],
  ] as const) {
    await using unseen = await ShimLab.start(["/bin/true"]);
    await using other = new Pod(unseen, null);
    await other.create();
    const started = await other.start();
    await unseen.killShim();
    other.rewrite((record) => void (record["asked"] = asked));
    process.kill(started.pid, "SIGKILL");
    await unseen.eventually("the holder's end", () => !existsSync(`/proc/${started.pid}`));
    await other.adopt();
    const { state, createdAt } = await other.status();
    assert.deepEqual([state, createdAt], ["SANDBOX_NOTREADY", started.createdAt]);
    assert.equal((await other.wait()).exitStatus, code);
    await other.shutdown();
    await other.assertGone();
  }
});

test("a sandbox of another boot is over, and no process of this one is taken for its holder", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const { pid } = await pod.start();
  await lab.killShim();
  pod.rewrite((record) => void (record["boot"] = "another"));
  await pod.adopt();
  assert.equal((await pod.status()).state, "SANDBOX_NOTREADY");
  assert.equal((await pod.wait()).exitStatus, 255);
  await pod.stop();
  await pod.shutdown();
  assert(existsSync(`/proc/${pid}`), "it is nobody's holder by that record");
  process.kill(pid, "SIGKILL");
  await pod.assertGone();
});

test("what a killed shim left of a pod is removed by delete, the sandbox's record good or not", { skip }, async () => {
  const harms: readonly (readonly [RegExp | null, (pod: Pod) => void])[] = [
    [null, () => {}],
    [/another version/, (pod) => pod.rewrite((record) => void (record["version"] = 2))],
    [/sandbox.json is damaged/, (pod) => pod.rewrite((record) => delete record["plan"])],
    [/another task/, (pod) => pod.rewrite((record) => void (record["id"] = "other"))],
  ];
  for (const [reason, harm] of harms) {
    await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
    await using pod = new Pod(lab, null);
    await pod.create();
    const { pid } = await pod.start();
    await pod.runContainer(pid);
    const task = await lab.task.state({ id: lab.id });
    await lab.killShim();
    harm(pod);
    // As a shim that was killed in the middle of writing leaves it.
    writeFileSync(`${pod.record}.tmp`, "{");
    if (reason !== null) {
      const refused = pod.ask("adopt");
      assert.deepEqual([refused.status, reason.test(refused.stderr)], [3, true], refused.stderr);
      assert(existsSync(`/proc/${pid}`), "nothing is killed by asking");
    }
    assert.equal(lab.startCommand(lab.id, lab.path, { action: "delete" }).status, 0);
    await lab.eventually("the container's end", () => !existsSync(`/proc/${task.pid}`));
    assert(existsSync(`/proc/${pid}`), "a task's removal leaves the pod's sandbox alone");
    assert.equal(pod.ask("delete").status, 0);
    await pod.assertGone();
    assert.equal(pod.ask("delete").status, 0, "again, with nothing left");
  }
});

test("a socket that a last child of the killed shim still holds is waited for", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  await lab.killShim();
  const socket = lab.address.replace(/^unix:\/\//, "");
  rmSync(socket);
  const script = `require("net").createServer((c) => c.destroy()).listen(process.argv[1])`;
  spawn(process.execPath, ["-e", `${script}; setTimeout(() => process.exit(), 500)`, socket]);
  await lab.eventually("the socket", () => existsSync(socket));
  await pod.adopt();
  assert.equal((await pod.status()).state, "SANDBOX_NOTREADY");
  await pod.shutdown();
  await pod.assertGone();
});

test("a record that cannot be written refuses the sandbox instead of one that nobody would find", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await using pod = new Pod(lab, null);
  await pod.create();
  const before = readFileSync(pod.record, "utf8");
  // A directory in the place of the file that is renamed.
  mkdirSync(`${pod.record}.tmp`);
  await assert.rejects(pod.start(), /failed to make the sandbox's namespaces: .*sandbox.json/);
  await lab.eventually("the holder's end", () => pod.holders().length === 0);
  assert.equal(readFileSync(pod.record, "utf8"), before);
  rmSync(`${pod.record}.tmp`, { recursive: true });
  await pod.start();
  await pod.shutdown();
  await pod.assertGone();
});
