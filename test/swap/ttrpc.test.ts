// Our ttrpc beside Go's, both ways at once: our client drives the original shim through a container's life, and the
// original shim reports that life to our server.

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TaskCreate, TaskDelete, TaskExit, TaskStart } from "../../api/containerd/gen/task_events.ts";
import type { Envelope } from "../../api/containerd/gen/types.ts";
import { Events } from "../../api/task/gen/events.ts";
import { Task } from "../../api/task/gen/task_v2.ts";
import { codeOf } from "../../base/errors.ts";
import { type Bundle, makeBundle } from "../../bench/bundle.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import { connectUnix, listenUnix } from "../../runtime/node/socket.ts";
import { Cancel, type ClientOf } from "../../wire/call.ts";
import { TtrpcClient } from "../../wire/ttrpc/client.ts";
import { NAMESPACE_HEADER } from "../../wire/ttrpc/metadata.ts";
import { TtrpcServer } from "../../wire/ttrpc/server.ts";

const SHIM = "/usr/bin/containerd-shim-runc-v2";
const skip = existsSync(SHIM) && process.getuid?.() === 0 ? false : "needs Debian's containerd and root";
const namespace = `swap-${process.pid}`;
const id = "interop";

const folder = mkdtempSync(join(tmpdir(), "gantry-ttrpc-"));
const envelopes: Envelope[] = [];
const namespaces: string[] = [];
let bundle: Bundle;
let log: ChildProcess;
let client: TtrpcClient;
let task: ClientOf<typeof Task>;
let events: TtrpcServer;
let listener: Awaited<ReturnType<typeof listenUnix>>;

before(async () => {
  if (skip !== false) return;
  bundle = makeBundle(["/bin/sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"]);
  listener = await listenUnix(join(folder, "events"), { mode: 0o600 });
  events = new TtrpcServer(nodeClock);
  events.register(Events, {
    async forward({ envelope }, context) {
      envelopes.push(envelope!);
      namespaces.push(context.namespace);
      return {};
    },
  });
  void events.serve(listener);
  execFileSync("mkfifo", [join(bundle.path, "log")]);
  log = spawn("cat", [join(bundle.path, "log")], { stdio: ["ignore", openSync(join(folder, "log"), "w"), "inherit"] });
  const address = startShim();
  client = new TtrpcClient(await connectUnix(address.replace(/^unix:\/\//, "")), {
    clock: nodeClock,
    headers: { [NAMESPACE_HEADER]: namespace },
  });
  task = client.of(Task);
});

function startShim(): string {
  const flags = ["-namespace", namespace, "-id", id, "-address", join(folder, "grpc"), "-publish-binary", "/bin/true"];
  const env = { ...process.env, TTRPC_ADDRESS: join(folder, "events"), GRPC_ADDRESS: join(folder, "grpc") };
  const started = spawnSync(SHIM, [...flags, "start"], { cwd: bundle.path, env, encoding: "utf8" });
  assert.equal(started.status, 0, started.stderr);
  return started.stdout.trim();
}

after(async () => {
  if (skip !== false) return;
  // Whatever failed above: the shim goes, and with it its container.
  const state = await task?.connect({ id }).catch(() => null);
  await task?.kill({ id, signal: 9, all: true }).catch(() => {});
  await task?.delete({ id }).catch(() => {});
  client?.close();
  if (state) process.kill(state.shimPid, "SIGKILL");
  listener?.close();
  events?.close();
  log?.kill();
  bundle?.[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
  rmSync(`/run/containerd/runc/${namespace}`, { recursive: true, force: true });
});

const fails = (code: string) => (thrown: unknown) => {
  assert.equal(codeOf(thrown), code, String(thrown));
  return true;
};

test("the original shim's failures arrive with their codes", { skip }, async () => {
  await assert.rejects(task.state({ id }), fails("not_found"));
  await assert.rejects(task.start({ id: "other" }), fails("not_found"));
  const body = { service: { name: "no.such.Service", methods: {} }, method: Task.methods.state, request: {} };
  await assert.rejects(client.call(body), fails("unimplemented"));
});

test("a container lives and dies through our client, and our server hears of it in order", { skip }, async () => {
  const created = await task.create({ id, bundle: bundle.path });
  assert(created.pid > 1);
  await task.start({ id });
  const waiting = task.wait({ id });
  const state = await task.state({ id });
  assert.deepEqual([state.id, state.pid, state.status, state.bundle], [id, created.pid, 2, bundle.path]);
  assert((await task.pids({ id })).processes.some(({ pid }) => pid === created.pid));
  const stats = (await task.stats({ id })).stats;
  assert.match(stats?.typeUrl ?? "", /^io\.containerd\.cgroups\.v[12]\.Metrics$/);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await task.kill({ id, signal: 15 });
  const exit = await waiting;
  assert.equal(exit.exitStatus, 3);
  const deleted = await task.delete({ id });
  assert.deepEqual([deleted.exitStatus, deleted.exitedAt], [3, exit.exitedAt]);
  for (let turn = 0; envelopes.length < 4 && turn < 100; turn++) await new Promise((next) => setTimeout(next, 20));
  const topics = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"];
  assert.deepEqual(
    envelopes.map(({ topic }) => topic),
    topics,
  );
  assert(envelopes.every((envelope, at) => envelope.namespace === namespace && namespaces[at] === namespace));
  const [create, start, exited, gone] = envelopes.map(({ event }) => event!.value) as [Uint8Array, ...Uint8Array[]];
  assert.deepEqual(
    envelopes.map(({ event }) => event?.typeUrl),
    [TaskCreate, TaskStart, TaskExit, TaskDelete].map((type) => type.typeName),
  );
  assert.equal(TaskCreate.decode(create).bundle, bundle.path);
  assert.equal(TaskStart.decode(start!).pid, created.pid);
  assert.deepEqual([TaskExit.decode(exited!).exitStatus, TaskDelete.decode(gone!).exitStatus], [3, 3]);
});

test("bundles that cannot run give the runtime's sentence", { skip }, async () => {
  writeFileSync(join(bundle.path, "config.json"), "{");
  await assert.rejects(task.create({ id, bundle: bundle.path }), /unexpected end of JSON|invalid character|EOF/);
});

test("a thousand calls at once are all answered, and given-up calls disturb nobody", { skip }, async () => {
  const calls = Array.from({ length: 1000 }, () => task.connect({ id }).catch((thrown: unknown) => codeOf(thrown)));
  const cancel = new Cancel();
  const given = task.connect({ id }, { cancel });
  cancel.cancel();
  await assert.rejects(given, fails("canceled"));
  assert.equal((await Promise.all(calls)).length, 1000);
});

test("the shim ends on Shutdown, and the open connection says so", { skip }, async () => {
  await task.shutdown({ id, now: true }).catch(fails("unavailable"));
  await client.closed;
  await assert.rejects(task.connect({ id }), fails("unavailable"));
});
