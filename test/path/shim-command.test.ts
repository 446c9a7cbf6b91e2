// The shim's command line under all its names, in its own form and in those of its predecessors.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BootstrapParams, BootstrapResult } from "../../api/task/gen/bootstrap.ts";
import { Options } from "../../api/task/gen/runc_options.ts";
import { Task } from "../../api/task/gen/task_v2.ts";
import { makeBundle } from "../../bench/bundle.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import { connectUnix } from "../../runtime/node/socket.ts";
import { TtrpcClient } from "../../wire/ttrpc/client.ts";
import { SHIM, skip } from "./shim-lab.ts";

const NAMES = [
  "containerd-shim-runc-v2",
  "containerd-shim",
  "containerd-shim-current",
  "docker-containerd-shim",
  "docker-containerd-shim-current",
];

function run(name: string, ...args: string[]) {
  return spawnSync(join(dirname(SHIM), name), args, { encoding: "utf8", input: "", timeout: 60_000 });
}

for (const name of NAMES) {
  test(`${name} is the shim`, { skip }, () => {
    const { status, stdout } = run(name, "-v");
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`^${name}:\n  Version: .*\n  Revision: `));
    assert.equal(run(name, "--version").stdout, stdout);
  });
}

test("the arguments of before 2017 are refused in a sentence", { skip }, () => {
  const { status, stdout, stderr } = run("docker-containerd-shim", "1a2b", "/run/docker/libcontainerd/1a2b", "runc");
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /^docker-containerd-shim: the arguments <id> <bundle> <runtime> are those of .* \(2017\)/);
});

test("what cannot be read on the command line ends with 2 and the flags", { skip }, () => {
  const unknown = run("containerd-shim-runc-v2", "-nonsense");
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /flag provided but not defined: -nonsense/);
  assert.equal(run("containerd-shim-runc-v2", "-h").status, 0);
});

test("a namespace is needed, and an action that is known", { skip }, () => {
  const nameless = run("containerd-shim-runc-v2", "-id", "a", "start");
  assert.deepEqual([nameless.status, nameless.stdout], [1, ""]);
  assert.match(nameless.stderr, /shim namespace cannot be empty/);
  const strange = run("containerd-shim-runc-v2", "-namespace", "n", "-id", "a", "dance");
  assert.equal(strange.status, 1);
  assert.match(strange.stderr, /unknown action dance/);
});

/** Serves a socket of its own, started with these flags; ended by SIGTERM. */
class ServedByHand implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-shim-hand-"));
  readonly bundle = makeBundle(["/bin/sleep", "100"]);
  readonly socket = join(this.folder, "shim.sock");
  #child: ChildProcess | null = null;

  async start(name: string, ...flags: string[]): Promise<TtrpcClient> {
    const path = join(dirname(SHIM), name);
    const env = { ...process.env, PATH: `${dirname(SHIM)}:${process.env["PATH"]}`, TTRPC_ADDRESS: "" };
    this.#child = spawn(path, [...flags, "-socket", this.socket], { cwd: this.bundle.path, env, stdio: "ignore" });
    for (let at = 0; !existsSync(this.socket); at++) {
      assert(at < 200, "the shim does not serve");
      await sleep(20);
    }
    return new TtrpcClient(await connectUnix(this.socket), { clock: nodeClock });
  }

  async stop(): Promise<number | null> {
    const ended = once(this.#child!, "exit");
    this.#child!.kill("SIGTERM");
    return (await ended)[0] as number | null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child?.exitCode === null) await this.stop();
    this.bundle[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

test("the first shim's command line serves, and its flags are the task's defaults", { skip }, async () => {
  await using hand = new ServedByHand();
  const [namespace, root] = [basename(hand.folder), join(hand.folder, "states")];
  const given = ["-namespace", namespace, "-address", join(hand.folder, "c.sock"), "-workdir", hand.folder];
  const more = ["-runtime-root", root, "-criu", "/usr/sbin/criu", "-containerd-binary", "/bin/true", "-debug"];
  using client = await hand.start("docker-containerd-shim", ...given, ...more);
  const task = client.of(Task);
  const id = `${namespace}-a`;
  await task.create({ id, bundle: hand.bundle.path });
  assert.deepEqual(readdirSync(join(root, namespace)), [id]);
  await task.start({ id });
  await task.kill({ id, signal: 9 });
  assert.equal((await task.wait({ id })).exitStatus, 137);
  await task.delete({ id });
  assert.equal(await hand.stop(), 0);
  assert.equal(existsSync(hand.socket), false);
});

test("a socket's path that is too long for the kernel is refused before anything is made", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "gantry-shim-long-"));
  const directory = join(folder, "d".repeat(90));
  mkdirSync(directory);
  const env = { ...process.env, CONTAINERD_SHIM_SOCKET_DIR: directory };
  const args = ["-namespace", "n", "-id", "a", "-address", "/x", "start"];
  const { status, stderr } = spawnSync(SHIM, args, { cwd: folder, env, encoding: "utf8", input: "" });
  assert.equal(status, 1);
  assert.match(stderr, /longer than 107 bytes/);
  assert.deepEqual(readdirSync(folder), [basename(directory)]);
  rmSync(folder, { recursive: true });
});

test("bootstrap parameters carry the runtime's options: the shim joins the group they name", { skip }, async () => {
  const bundle = makeBundle(["/bin/true"]);
  const folder = mkdtempSync(join(tmpdir(), "gantry-shim-boot-"));
  const [namespace, group] = [basename(folder), `/gantry-test-${basename(folder)}`];
  const value = Options.encode(Options.create({ shimCgroup: group }));
  const params = { instanceId: "a", namespace, logLevel: -4, socketDir: join(folder, "s") };
  const extensions = [{ value: { typeUrl: Options.typeName, value } }];
  const input = BootstrapParams.encode(BootstrapParams.create({ ...params, extensions }));
  const args = ["-namespace", namespace, "-id", "a", "-address", join(folder, "c"), "start"];
  const started = spawnSync(SHIM, args, { cwd: bundle.path, input });
  const { version, address } = BootstrapResult.decode(new Uint8Array(started.stdout));
  assert.equal(version, 3, started.stderr.toString());
  assert.equal(dirname(address), `unix://${join(folder, "s")}`);
  using client = new TtrpcClient(await connectUnix(address.replace("unix://", "")), { clock: nodeClock });
  const { shimPid } = await client.of(Task).connect({ id: "a" });
  assert(readFileSync(`/proc/${shimPid}/cgroup`, "utf8").includes(group));
  await client.of(Task).shutdown({ id: "a" });
  await client.closed;
  for (let at = 0; existsSync(`/proc/${shimPid}`) && at < 100; at++) await sleep(20);
  const roots = ["/sys/fs/cgroup", ...readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`)];
  for (const root of roots) if (existsSync(`${root}${group}`)) rmdirSync(`${root}${group}`);
  bundle[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});
