// Our shim between the original containerd and the original runc, driven by the original ctr: a private daemon whose
// PATH finds our shim first.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const BIN = process.env["GANTRY_BIN"] ?? join(import.meta.dirname, "../../dist/bin");
const SHIM = join(BIN, "containerd-shim-runc-v2");
const needs = [SHIM, "/usr/bin/containerd", "/usr/bin/ctr", "/usr/sbin/runc", "/bin/busybox"];
const skip = needs.every(existsSync) && process.getuid?.() === 0 ? false : "needs a build, containerd, ctr, runc, root";
const folder = mkdtempSync(join(tmpdir(), "gantry-swap-shim-"));
const namespace = basename(folder);
const rootfs = join(folder, "rootfs");
let daemon: ChildProcess;

before(async () => {
  if (skip !== false) return;
  for (const name of ["bin", "rootfs/bin", "rootfs/proc", "rootfs/dev", "rootfs/sys", "rootfs/tmp"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
  for (const applet of ["sh", "sleep", "seq", "stty", "cat", "true"])
    symlinkSync("busybox", join(rootfs, "bin", applet));
  symlinkSync(SHIM, join(folder, "bin/containerd-shim-runc-v2"));
  const config = [
    "version = 2",
    `root = "${folder}/root"`,
    `state = "${folder}/state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
    `[grpc]\naddress = "${folder}/c.sock"`,
    `[ttrpc]\naddress = "${folder}/c.sock.ttrpc"`,
  ];
  writeFileSync(join(folder, "config.toml"), config.join("\n"));
  await up();
});

after(async () => {
  if (skip !== false) return rmSync(folder, { recursive: true, force: true });
  for (const id of lines(ctr("task", "ls", "-q").stdout)) ctr("task", "rm", "-f", id);
  for (const id of lines(ctr("container", "ls", "-q").stdout)) ctr("container", "rm", id);
  const gone = once(daemon, "exit");
  daemon.kill("SIGKILL");
  await gone;
  for (const pid of shims()) process.kill(pid, "SIGKILL");
  // The runtime removes a container's control groups, nobody the namespace's above them.
  for (const hierarchy of readdirSync("/sys/fs/cgroup")) {
    const group = `/sys/fs/cgroup/${hierarchy}/${namespace}`;
    if (existsSync(group)) rmdirSync(group);
  }
  rmSync(folder, { recursive: true, force: true });
  rmSync(`/run/containerd/runc/${namespace}`, { recursive: true, force: true });
});

async function up(): Promise<void> {
  const env = {
    ...process.env,
    PATH: `${folder}/bin:${process.env["PATH"]}`,
    CONTAINERD_SHIM_SOCKET_DIR: join(folder, "s"),
  };
  daemon = spawn("/usr/bin/containerd", ["-c", join(folder, "config.toml")], { env, stdio: "ignore" });
  for (let at = 0; ctr("version").status !== 0; at++) {
    assert(at < 100, "containerd did not come up");
    await sleep(50);
  }
}

function ctr(...args: string[]) {
  const line = ["-a", join(folder, "c.sock"), "-n", namespace, ...args];
  return spawnSync("/usr/bin/ctr", line, { encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL", input: "" });
}

function run(id: string, ...args: string[]) {
  return ctr("run", "--rm", "--rootfs", rootfs, id, ...args);
}

const lines = (text: string) => text.trim().split("\n").filter(Boolean);

function shims(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes(`-address ${folder}/c.sock`))
    .map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

test("ctr runs a container through our shim and gets output and exit code", { skip }, () => {
  const result = run("one", "/bin/sh", "-c", "echo out; echo err >&2; exit 7");
  assert.deepEqual([result.stdout, result.status], ["out\n", 7]);
  assert.match(result.stderr, /err\n/);
  assert.deepEqual(shims(), []);
  assert.deepEqual(readdirSync(join(folder, "s")), []);
});

test("a hundred thousand lines arrive through the client's FIFO", { skip }, () => {
  const expected = Array.from({ length: 100_000 }, (_, at) => `${at + 1}\n`).join("");
  // ctr 1.6 throws away what it has not read of the output when it hears of the exit.
  assert(run("many", "/bin/sh", "-c", "/bin/seq 1 100000; /bin/sleep 1").stdout === expected);
});

test("exec, pause, resume, ps, metrics and kill work on a detached container", { skip }, async () => {
  assert.equal(ctr("run", "-d", "--rootfs", rootfs, "two", "/bin/sleep", "100").status, 0);
  const executed = ctr("task", "exec", "--exec-id", "e1", "two", "/bin/sh", "-c", "echo inside; exit 3");
  assert.deepEqual([executed.stdout, executed.status], ["inside\n", 3]);
  assert.equal(ctr("task", "pause", "two").status, 0);
  assert.match(ctr("task", "ls").stdout, /two\s+\d+\s+PAUSED/);
  assert.equal(ctr("task", "resume", "two").status, 0);
  assert.equal(lines(ctr("task", "ps", "two").stdout).length, 2);
  assert.match(ctr("task", "metrics", "two").stdout, /memory\.usage_in_bytes|memory/);
  assert.equal(ctr("task", "kill", "-s", "KILL", "two").status, 0);
  for (let at = 0; !/STOPPED/.test(ctr("task", "ls").stdout); at++) {
    assert(at < 100, "the task did not stop");
    await sleep(20);
  }
  assert.match(ctr("task", "rm", "two").stderr, /non-zero exit code 137/);
  assert.equal(ctr("container", "rm", "two").status, 0);
});

test("a missing program is reported in the runtime's words and leaves nothing", { skip }, () => {
  const result = run("three", "/bin/missing");
  assert.equal(result.status, 1);
  assert.match(result.stderr, /OCI runtime create failed: .*\/bin\/missing.* no such file or directory: unknown/);
  assert.equal(ctr("task", "ls", "-q").stdout, "");
  assert.deepEqual(shims(), []);
});

test("a container outlives a killed containerd, which finds it again with its exit code", { skip }, async () => {
  assert.equal(ctr("run", "-d", "--rootfs", rootfs, "four", "/bin/sh", "-c", "sleep 1; exit 9").status, 0);
  daemon.kill("SIGKILL");
  await sleep(200);
  assert.equal(shims().length, 1);
  await sleep(1200);
  await up();
  for (let at = 0; !/four\s+\d+\s+STOPPED/.test(ctr("task", "ls").stdout); at++) {
    assert(at < 100, "the task was not found stopped");
    await sleep(20);
  }
  assert.match(ctr("task", "rm", "four").stderr, /non-zero exit code 9/);
  assert.equal(ctr("container", "rm", "four").status, 0);
  for (let at = 0; shims().length > 0; at++) {
    assert(at < 100, "the shim is still there");
    await sleep(20);
  }
});

test("a killed shim's container is cleaned up by our delete", { skip }, async () => {
  assert.equal(ctr("run", "-d", "--rootfs", rootfs, "five", "/bin/sleep", "100").status, 0);
  for (const pid of shims()) process.kill(pid, "SIGKILL");
  for (let at = 0; existsSync(`/run/containerd/runc/${namespace}/five`); at++) {
    assert(at < 100, "the runtime's state is still there");
    await sleep(20);
  }
  assert.equal(ctr("task", "ls", "-q").stdout, "");
  assert.equal(ctr("container", "rm", "five").status, 0);
});
