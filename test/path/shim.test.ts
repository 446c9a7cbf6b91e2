// The shim by itself, with real containers: life cycle, events, figures, and what it survives.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TaskExit } from "../../api/containerd/gen/task_events.ts";
import { BootstrapParams, BootstrapResult } from "../../api/task/gen/bootstrap.ts";
import { Metrics as MetricsV1 } from "../../api/task/gen/cgroups_v1.ts";
import { Metrics as MetricsV2 } from "../../api/task/gen/cgroups_v2.ts";
import { codeOf, messageOf } from "../../base/errors.ts";
import { RUNC, ShimLab, type Spec, skip } from "./shim-lab.ts";

const SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Process";

function processOf(args: readonly string[]) {
  const spec = { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
  return { typeUrl: SPEC, value: new Uint8Array(Buffer.from(JSON.stringify(spec))) };
}

function exitsOf(lab: ShimLab) {
  return lab.events.filter((one) => one.topic === "/tasks/exit").map((one) => TaskExit.decode(one.event!.value));
}

test("a container goes through its life and the events tell it in order", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "exit 7"]);
  const { pid } = await lab.create();
  assert.equal((await lab.task.state({ id: lab.id })).status, 1);
  assert.deepEqual(await lab.task.start({ id: lab.id }), { pid });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 7);
  const state = await lab.task.state({ id: lab.id });
  assert.deepEqual([state.status, state.exitStatus, state.pid], [3, 7, pid]);
  assert.equal((await lab.task.delete({ id: lab.id })).exitStatus, 7);
  await lab.eventually("/tasks/delete", () => lab.topics().includes("/tasks/delete"));
  assert.deepEqual(lab.topics(), ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
  assert(lab.events.every((one) => one.namespace === lab.namespace));
  await lab.task.shutdown({ id: lab.id });
  await lab.eventually("the shim's end", () => !lab.alive());
  assert.deepEqual(readdirSync(join(lab.folder, "s")), []);
});

test("a container that is deleted before it ran tells its exit, then its deletion", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  await lab.create();
  assert.equal((await lab.task.delete({ id: lab.id })).exitStatus, 137);
  await lab.eventually("/tasks/delete", () => lab.topics().includes("/tasks/delete"));
  assert.deepEqual(lab.topics(), ["/tasks/create", "/tasks/exit", "/tasks/delete"]);
});

test("executed processes end before their container does, in the events, too", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  for (const execId of ["one", "two", "three"]) {
    await lab.task.exec({ id: lab.id, execId, spec: processOf(["/bin/sleep", "100"]) });
    await lab.task.start({ id: lab.id, execId });
  }
  await assert.rejects(lab.task.exec({ id: lab.id, execId: "one", spec: processOf(["/bin/true"]) }), (thrown) => {
    assert.equal(codeOf(thrown), "already_exists");
    return true;
  });
  await lab.task.kill({ id: lab.id, signal: 9 });
  await lab.task.wait({ id: lab.id });
  await lab.eventually("four exits", () => exitsOf(lab).length === 4);
  assert.equal(exitsOf(lab)[3]!.id, lab.id);
  assert.deepEqual(
    exitsOf(lab).map((one) => one.exitStatus),
    [137, 137, 137, 137],
  );
  assert.deepEqual(lab.children(), []);
});

test("in the host's pid namespace the rest of the container is ended with its first process", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "sleep 100 & exit 4"], (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
  });
  await lab.create();
  await lab.task.start({ id: lab.id });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 4);
  await lab.eventually("no child", () => lab.children().length === 0);
});

test("a failing exec gives the runtime's own reason and harms nothing", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.task.exec({ id: lab.id, execId: "bad", spec: processOf(["/bin/missing"]) });
  await assert.rejects(lab.task.start({ id: lab.id, execId: "bad" }), /OCI runtime exec failed: .*\/bin\/missing/);
  await lab.task.delete({ id: lab.id, execId: "bad" });
  assert.deepEqual(
    readdirSync(lab.path).filter((name) => name.startsWith("bad")),
    [],
  );
  assert.equal((await lab.task.state({ id: lab.id })).status, 2);
});

test("figures of the control group come as containerd's clients know them", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"], (config) => {
    config.linux.resources["memory"] = { limit: 64 << 20 };
    config.linux.resources["pids"] = { limit: 77 };
  });
  await lab.create();
  const stats = (await lab.task.stats({ id: lab.id })).stats!;
  const figures =
    stats.typeUrl === MetricsV2.typeName ? figuresV2(MetricsV2.decode(stats.value)) : figuresV1(stats.value);
  assert.deepEqual([figures.pids, figures.memory], [77n, BigInt(64 << 20)]);
  assert(figures.cpu > 0n && figures.running > 0n);
});

function figuresV1(value: Uint8Array) {
  const { pids, memory, cpu } = MetricsV1.decode(value);
  const [running, limit] = [pids!.current, memory!.usage!.limit];
  return { running, pids: pids!.limit, memory: limit, cpu: cpu!.usage!.total };
}

function figuresV2({ pids, memory, cpu }: MetricsV2) {
  return { running: pids!.current, pids: pids!.limit, memory: memory!.usageLimit, cpu: cpu!.usageUsec };
}

test("a process killed for want of memory is told before its container's exit", { skip }, async () => {
  // The one that takes the memory offers itself: which of the processes the kernel kills is else its own choice.
  const greedy = "(echo 1000 > /proc/self/oom_score_adj; exec tail -c 200000000 > /dev/null)";
  const script = `head -c 300000000 /dev/zero | ${greedy}; exit 3`;
  await using lab = await ShimLab.start(["/bin/sh", "-c", script], (config) => {
    config.linux.resources["memory"] = { limit: 30 << 20, swap: 30 << 20 };
  });
  await lab.create();
  await lab.task.start({ id: lab.id });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 3);
  await lab.eventually("the exit", () => lab.topics().includes("/tasks/exit"));
  // While the killed one's memory comes back, the kernel may kill the other, too: each kill is told.
  const topics = lab.topics().filter((topic, at, all) => topic !== all[at - 1]);
  assert.deepEqual(topics, ["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"]);
});

test("a kill for want of memory is told even if the runtime's start ends after it", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "slow-runc-"));
  const runc = join(folder, "runc");
  const slow = 'for word; do [ "$word" = start ] && sleep 1; done';
  writeFileSync(runc, `#!/bin/sh\n${RUNC} "$@"; code=$?\n${slow}\nexit $code\n`, { mode: 0o755 });
  try {
    const memory = { limit: 20 << 20, swap: 20 << 20 };
    const limited = (config: Spec) => void (config.linux.resources["memory"] = memory);
    await using lab = await ShimLab.start(["/bin/tail", "-c", "100000000", "/dev/zero"], limited, { runc });
    await lab.create();
    await lab.task.start({ id: lab.id });
    assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
    await lab.eventually("the exit", () => lab.topics().includes("/tasks/exit"));
    assert.deepEqual(lab.topics(), ["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("two hundred executed processes leave no descriptor, no zombie and little memory", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  const run = async (execId: string) => {
    await lab.task.exec({ id: lab.id, execId, spec: processOf(["/bin/true"]) });
    await lab.task.start({ id: lab.id, execId });
    assert.equal((await lab.task.wait({ id: lab.id, execId })).exitStatus, 0);
    await lab.task.delete({ id: lab.id, execId });
  };
  await run("first");
  const [before, memory] = [lab.descriptors(), lab.memory()];
  for (let at = 0; at < 200; at++) await run(`exec-${at}`);
  assert.deepEqual(lab.descriptors().sort(), before.sort());
  assert.deepEqual(
    lab.children().map((child) => child.state),
    ["S"],
  );
  assert(lab.memory() - memory < 1000, `grew from ${memory} to ${lab.memory()} kB`);
});

test("events wait while the daemon is away and come in order when it is back", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "sleep 0.3; exit 5"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.eventually("the start", () => lab.topics().includes("/tasks/start"));
  lab.daemonDown();
  await sleep(800);
  await lab.daemonUp();
  await lab.connect();
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 5);
  await lab.eventually("the exit", () => lab.topics().includes("/tasks/exit"));
  assert.deepEqual(lab.topics(), ["/tasks/create", "/tasks/start", "/tasks/exit"]);
});

test("garbage and oversized frames on the socket harm only their own connection", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  await lab.create();
  const path = lab.address.replace(/^unix:\/\//, "");
  for (const bytes of [
    Buffer.alloc(100_000, 0xff),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    Buffer.from([0, 0, 0, 9, 0]),
  ]) {
    const socket = connect(path);
    socket.on("error", () => {});
    socket.write(bytes);
    await sleep(50);
    socket.destroy();
  }
  const oversized = Buffer.alloc(10);
  oversized.writeUInt32BE(5 << 20, 0);
  oversized.writeUInt32BE(1, 4);
  oversized[8] = 1;
  const socket = connect(path);
  socket.on("error", () => {});
  socket.write(oversized);
  await sleep(50);
  socket.destroy();
  assert.equal((await lab.task.state({ id: lab.id })).status, 1);
});

test("what is wrong with a request is said, and nothing is half made", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/missing"]);
  await assert.rejects(lab.create(), /OCI runtime create failed: .*\/bin\/missing/);
  await assert.rejects(lab.create({ id: "../escape" }), /identifier/);
  await assert.rejects(lab.create({ stdout: "json-file://relative", stderr: "json-file://relative" }), /absolute/);
  await assert.rejects(lab.create({ stdout: "gopher:///x" }), /unknown STDIO scheme gopher/);
  const request = { rootfs: [{ type: "bind", source: "/nowhere", target: "", options: ["rbind"] }] };
  await assert.rejects(lab.create(request), /no such file or directory/);
  await assert.rejects(lab.task.state({ id: lab.id }), (thrown) => {
    assert.deepEqual([codeOf(thrown), messageOf(thrown)], ["not_found", "container not created"]);
    return true;
  });
  assert.deepEqual(lab.children(), []);
  assert.equal(existsSync(join(lab.folder, "runc", lab.namespace, lab.id)), false);
});

test("containers of one group share a shim, and bootstrap parameters are answered in kind", { skip }, async () => {
  const annotate = (config: { annotations?: Record<string, string> }) => {
    config.annotations = { "io.kubernetes.cri.sandbox-id": "pod" };
  };
  await using lab = await ShimLab.start(["/bin/true"], annotate);
  const second = lab.bundle(["/bin/true"], annotate);
  assert.equal(lab.startCommand(`${lab.namespace}-b`, second).stdout, lab.address);
  const params = BootstrapParams.encode(
    BootstrapParams.create({ instanceId: `${lab.namespace}-b`, namespace: lab.namespace }),
  );
  const answer = lab.startCommand(`${lab.namespace}-b`, second, { input: params });
  const result = BootstrapResult.decode(new Uint8Array(answer.raw));
  assert.deepEqual([result.version, result.protocol, result.address], [3, "ttrpc", lab.address]);
});

test("delete removes what a killed shim left", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  const { pid } = await lab.create();
  await lab.task.start({ id: lab.id });
  process.kill(lab.shimPid, "SIGKILL");
  await lab.eventually("the shim's end", () => !lab.alive());
  const deleted = lab.startCommand(lab.id, lab.path, { action: "delete" });
  assert.deepEqual([deleted.status, deleted.stderr], [0, ""]);
  await lab.eventually("the container's end", () => !existsSync(`/proc/${pid}`));
  assert.deepEqual(readdirSync(join(lab.folder, "s")), []);
});
