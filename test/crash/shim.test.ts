// SIGKILL of the shim under containers of our engine: another shim takes over, and neither Docker's own client nor ours
// notices. What cannot go on (a terminal) is reported dead with nothing left.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alive, Lab, until } from "../lab.ts";

/** Docker's own client. */
const DOCKER = "/usr/bin/docker";
const SHIM = "containerd-shim-runc-v2";

interface Client {
  child: ChildProcess;
  output: string;
  ended: Promise<number | null>;
}

const skip = existsSync(DOCKER) ? false : "needs Docker's client";

let lab: Lab;

before(async () => {
  if (skip !== false) return;
  lab = new Lab();
  await lab.engine.start(["--live-restore=true"]);
  await lab.engine.haveBusybox();
});
after(async () => await lab?.[Symbol.asyncDispose]());

function client(...args: readonly string[]): Client {
  const env = { ...process.env, DOCKER_HOST: lab.engine.host };
  const child = spawn(DOCKER, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const started: Client = { child, output: "", ended };
  child.stdout!.on("data", (part: Buffer) => {
    started.output += part;
  });
  return started;
}

function state(name: string): string {
  return lab.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", name).trim();
}

const shims = () => lab.pids(SHIM).filter(alive);

async function killShim(name: string): Promise<void> {
  const id = lab.docker("inspect", "-f", "{{.Id}}", name).trim();
  const find = () => shims().find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(id));
  await until("its shim", () => find() !== undefined);
  const victim = find()!;
  process.kill(victim, "SIGKILL");
  await until("the shim's end", () => !alive(victim));
}

function assertNumbered(text: string, count: number): void {
  assert.deepEqual(
    text.split("\n").filter(Boolean),
    Array.from({ length: count }, (_, at) => String(at)),
  );
}

test("docker run, attach, wait and logs -f go on to the container's own end", { skip }, async () => {
  const script = "n=0; while [ $n -lt 1000 ]; do echo $n; n=$((n+1)); usleep 3000; done; exit 7";
  const run = client("run", "--name", "writer", "busybox", "sh", "-c", script);
  await until("the first lines", () => run.output.length > 20);
  const attach = client("attach", "writer");
  const waiting = client("wait", "writer");
  const logs = client("logs", "-f", "writer");
  for (let round = 0; round < 4; round++) {
    await sleep(150);
    await killShim("writer");
  }
  assert.equal(await run.ended, 7);
  assert.equal(await attach.ended, 7);
  assert.equal(await logs.ended, 0);
  await waiting.ended;
  assert.equal(waiting.output, "7\n");
  assertNumbered(run.output, 1000);
  assertNumbered(logs.output, 1000);
  assertNumbered(lab.docker("logs", "writer"), 1000);
  const last = attach.output.trim().split("\n").map(Number);
  assert.deepEqual(
    last,
    last.map((_, at) => 1000 - last.length + at),
  );
  lab.docker("rm", "writer");
});

test("docker exec gets every line and the code of its process, which outlives two shims", { skip }, async () => {
  lab.docker("run", "-d", "--name", "host", "busybox", "sleep", "1000");
  const script = "n=0; while [ $n -lt 500 ]; do echo $n; n=$((n+1)); usleep 3000; done; exit 7";
  const exec = client("exec", "host", "sh", "-c", script);
  await until("the first lines", () => exec.output.length > 20);
  for (let round = 0; round < 2; round++) {
    await killShim("host");
    await sleep(150);
  }
  assert.equal(await exec.ended, 7);
  assertNumbered(exec.output, 500);
  lab.docker("rm", "-f", "host");
});

test("no restart policy sees an end, and commands work on the container afterwards", { skip }, async () => {
  lab.docker("run", "-d", "--restart", "always", "--name", "served", "busybox", "sleep", "1000");
  const pid = lab.docker("inspect", "-f", "{{.State.Pid}}", "served");
  await killShim("served");
  await until("exec works", () => lab.engine.docker("exec", "served", "echo", "in").stdout === "in\n");
  assert.equal(lab.docker("inspect", "-f", "{{.State.Pid}}", "served"), pid);
  assert.equal(state("served"), "running 0 0");
  lab.docker("pause", "served");
  await killShim("served");
  lab.docker("unpause", "served");
  process.kill(Number(pid), "SIGKILL");
  await until("it is restarted after its own end", () => state("served") === "running 0 1");
  lab.docker("rm", "-f", "served");
});

for (const together of [true, false]) {
  const when = together ? "killed together with its shim" : "dead while its shim is killed";
  test(`containerd ${when} finds the container again, with every line`, { skip }, async () => {
    const script = "n=0; while true; do echo $n; n=$((n+1)); usleep 1000; done";
    lab.docker("run", "-d", "--name", "lasting", "busybox", "sh", "-c", script);
    const pid = Number(lab.docker("inspect", "-f", "{{.State.Pid}}", "lasting"));
    const daemons = [...lab.pids("dockerd"), ...lab.pids("containerd")];
    for (const victim of daemons) process.kill(victim, "SIGKILL");
    if (!together) await sleep(300);
    await killShimOf(pid);
    await sleep(200);
    assert.ok(alive(pid));
    await lab.engine.start(["--live-restore=true"]);
    await until("exec works", () => lab.engine.docker("exec", "lasting", "echo", "in").stdout === "in\n");
    assert.equal(state("lasting"), "running 0 0");
    lab.docker("stop", "-t", "0", "lasting");
    const lines = lab.docker("logs", "lasting").split("\n").filter(Boolean);
    assertNumbered(lines.join("\n"), lines.length);
    assert.ok(lines.length > 100);
    lab.docker("rm", "lasting");
  });
}

async function killShimOf(pid: number): Promise<void> {
  const parent = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  assert.ok(shims().includes(parent));
  process.kill(parent, "SIGKILL");
  await until("the shim's end", () => !alive(parent));
}

test("a container that ends just when its shim is killed keeps its last lines and its exit code", {
  skip,
}, async () => {
  const script = "trap 'echo last words; exit 3' TERM; echo first; while true; do usleep 1000; done";
  lab.docker("run", "-d", "--name", "brief", "busybox", "sh", "-c", script);
  await until("the first line", () => lab.docker("logs", "brief") === "first\n");
  const pid = Number(lab.docker("inspect", "-f", "{{.State.Pid}}", "brief"));
  const parent = shims().find((one) => readFileSync(`/proc/${one}/cmdline`, "utf8").length > 0)!;
  process.kill(parent, "SIGKILL");
  process.kill(pid, "SIGTERM");
  await until("its end", () => state("brief").startsWith("exited"));
  assert.equal(state("brief"), "exited 3 0");
  assert.equal(lab.docker("logs", "brief"), "first\nlast words\n");
  lab.docker("rm", "brief");
});

test("a container with a terminal is reported dead, and nothing of it is left", { skip }, async () => {
  lab.docker("run", "-d", "-t", "--name", "terminal", "busybox", "sleep", "1000");
  const pid = Number(lab.docker("inspect", "-f", "{{.State.Pid}}", "terminal"));
  await killShim("terminal");
  await until("its end", () => state("terminal") === "exited 137 0");
  assert.ok(!alive(pid));
  lab.docker("rm", "terminal");
  await until("the shims' end", () => shims().length === 0);
  const bundles = join(lab.engine.places.run, "containerd/daemon/io.containerd.runtime.v2.task/moby");
  assert.deepEqual(readdirSync(bundles), []);
});
