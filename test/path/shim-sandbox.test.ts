// The shim as sandboxer: the namespaces of a pod without a pause container.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Sandbox } from "../../api/task/gen/sandbox.ts";
import { ShimLab, skip } from "./shim-lab.ts";

const KINDS = ["ipc", "uts", "pid", "net", "mnt", "user"];
const namespaces = (pid: number | "self") => KINDS.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`));

interface Spec {
  hostname?: string;
  linux?: { namespaces: { type: string; path?: string }[] };
}

/** A bundle of a sandbox: no root filesystem, and a specification only if one is given. */
function sandboxBundle(lab: ShimLab, spec: Spec | null): string {
  const bundle = join(lab.folder, "sandbox");
  mkdirSync(bundle);
  if (spec !== null) writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
  return bundle;
}

test("a sandbox holds new namespaces, containers join them, and its stop ends them all", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "hostname; readlink /proc/self/ns/ipc; exec sleep 1000"]);
  const sandbox = lab.service(Sandbox);
  const id = "pod";
  const types = ["ipc", "uts", "pid", "network", "mount"].map((type) => ({ type }));
  await sandbox.createSandbox({
    sandboxId: id,
    bundlePath: sandboxBundle(lab, { hostname: "in-a-pod", linux: { namespaces: types } }),
  });
  assert.equal((await sandbox.sandboxStatus({ sandboxId: id })).state, "SANDBOX_NOTREADY");
  const { pid } = await sandbox.startSandbox({ sandboxId: id });
  const [own, held] = [namespaces("self"), namespaces(pid)];
  assert.deepEqual(
    held.map((name, at) => name === own[at]),
    [false, false, false, false, true, true],
  );
  const ready = await sandbox.sandboxStatus({ sandboxId: id, verbose: true });
  assert.deepEqual([ready.state, ready.pid, ready.info], ["SANDBOX_READY", pid, { containers: "" }]);
  assert.deepEqual((await sandbox.platform({ sandboxId: id })).platform!.os, "linux");

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

  const waiting = sandbox.waitSandbox({ sandboxId: id });
  await sandbox.stopSandbox({ sandboxId: id });
  assert.equal((await waiting).exitStatus, 0);
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
  assert.equal((await sandbox.sandboxStatus({ sandboxId: id })).state, "SANDBOX_NOTREADY");
  await lab.eventually("the holder's end", () => !existsSync(`/proc/${pid}`));
  await lab.task.delete({ id: lab.id });
  // Without tasks, but with a sandbox.
  await lab.task.shutdown({ id: lab.id });
  await sandbox.pingSandbox({ sandboxId: id });
  await sandbox.shutdownSandbox({ sandboxId: id });
  await lab.eventually("the shim's end", () => !lab.alive());
});

test("the holder is small, has nothing open, and dies with the shim", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  const sandbox = lab.service(Sandbox);
  await sandbox.createSandbox({ sandboxId: "pod", bundlePath: sandboxBundle(lab, null) });
  const { pid } = await sandbox.startSandbox({ sandboxId: "pod" });
  const own = namespaces("self");
  assert.deepEqual(
    namespaces(pid).map((name, at) => name === own[at]),
    [false, false, false, true, true, true],
  );
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, /^Name:\s+sandbox$/m);
  assert.equal(readFileSync(`/proc/${pid}/limits`, "utf8").length > 0, true);
  const { readdirSync } = await import("node:fs");
  assert.deepEqual(readdirSync(`/proc/${pid}/fd`), []);
  process.kill(lab.shimPid, "SIGKILL");
  await lab.eventually("the holder's end", () => !existsSync(`/proc/${pid}`));
});

test("what a sandbox cannot be is refused in words, and a holder that dies is told with its code", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  const sandbox = lab.service(Sandbox);
  await assert.rejects(sandbox.startSandbox({ sandboxId: "pod" }), /sandbox pod/);
  const bundlePath = sandboxBundle(lab, { hostname: "x", linux: { namespaces: [{ type: "ipc" }] } });
  await sandbox.createSandbox({ sandboxId: "pod", bundlePath, netnsPath: "/nowhere" });
  await assert.rejects(sandbox.createSandbox({ sandboxId: "pod", bundlePath }), /sandbox pod/);
  await assert.rejects(sandbox.startSandbox({ sandboxId: "pod" }), /namespaces: .*\/nowhere: no such file/);
  await sandbox.shutdownSandbox({ sandboxId: "pod" });
  await lab.eventually("the shim's end", () => !lab.alive());
  await using other = await ShimLab.start(["/bin/true"]);
  const second = other.service(Sandbox);
  await second.createSandbox({ sandboxId: "pod", bundlePath: sandboxBundle(other, null) });
  const { pid } = await second.startSandbox({ sandboxId: "pod" });
  process.kill(pid, "SIGKILL");
  assert.equal((await second.waitSandbox({ sandboxId: "pod" })).exitStatus, 137);
  await assert.rejects(second.sandboxMetrics({ sandboxId: "pod" }), /ask its containers/);
});
