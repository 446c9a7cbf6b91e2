// Our containerd among the originals, beyond the stories of chain.test.ts: Docker's own daemon on top of it, shims that
// die under it, and what it says to broken input. Every test ends with nothing left of it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { RemoteContainerd } from "../../core/remote.ts";
import { busyboxArchive } from "../../tools/start/image.ts";
import { alive } from "../lab.ts";
import { type Chain, IMAGE, programOf, Stack, skipReason, until } from "./stack.ts";

const chain: Chain = { ctr: "original", containerd: "ours", "containerd-shim-runc-v2": "original", runc: "original" };
const skip = skipReason(chain);
const DOCKERD = "/usr/sbin/dockerd";

describe("our containerd under the original shim", { skip }, () => {
  const stack = new Stack(chain);
  before(() => stack.start());
  after(() => stack[Symbol.asyncDispose]());
  deadShims(stack);
  brokenInput(stack);
});

function deadShims(stack: Stack): void {
  test("a task whose shim is killed is reported dead, and everything of it goes", async () => {
    const events = stack.ctrInBackground("events");
    await until("ctr listens", async () => (await stack.ctr("run", "--rm", IMAGE, "warm", "true")).status === 0);
    assert.equal((await stack.ctr("run", "-d", IMAGE, "orphan", "sleep", "1000")).status, 0);
    const pid = Number(/^orphan\s+(\d+)/m.exec((await stack.ctr("tasks", "ls")).stdout)?.[1]);
    for (const shim of stack.shims()) process.kill(shim, "SIGKILL");
    await until("the deletion is told", () => /tasks\/delete.*orphan/.test(events.output()));
    events.child.kill();
    assert.match(events.output(), /\/tasks\/exit \{"container_id":"orphan".*"exit_status":137/);
    await until("its process is gone", () => !alive(pid));
    assert.doesNotMatch((await stack.ctr("tasks", "ls")).stdout, /orphan/);
    assert.equal((await stack.ctr("containers", "rm", "orphan")).status, 0);
    assert.deepEqual(stack.leftovers(), []);
  });

  test("a shim that died while containerd was away is found dead at its return", async () => {
    assert.equal((await stack.ctr("run", "-d", IMAGE, "lost", "sleep", "1000")).status, 0);
    const shims = stack.shims();
    await stack.stopContainerd("SIGKILL");
    for (const shim of shims) process.kill(shim, "SIGKILL");
    await stack.startContainerd();
    assert.doesNotMatch((await stack.ctr("tasks", "ls")).stdout, /lost/);
    assert.equal((await stack.ctr("containers", "rm", "lost")).status, 0);
    assert.deepEqual(stack.leftovers(), []);
  });
}

function brokenInput(stack: Stack): void {
  for (const [runtime, words] of [
    ["io.containerd.absent.v9", /binary not installed "containerd-shim-absent-v9": file does not exist/],
    ["nonsense", /invalid runtime name nonsense, correct runtime name should be either format like/],
    ["/no/such/shim", /binary not installed "\/no\/such\/shim"/],
  ] as const) {
    test(`the runtime ${runtime} is refused with the original's words`, async () => {
      const result = await stack.ctr("run", "--rm", "--runtime", runtime, IMAGE, "never", "true");
      assert.equal(result.status, 1);
      assert.match(result.stderr, words);
      assert.doesNotMatch((await stack.ctr("snapshots", "ls")).stdout, /never/);
      assert.deepEqual(stack.leftovers(), []);
    });
  }

  test("garbage on each socket ends that connection and nothing else", async () => {
    for (const path of [stack.address, `${stack.address}.ttrpc`]) {
      for (const garbage of ["GET / HTTP/1.1\r\n\r\n", "\xff".repeat(5000), "\0".repeat(64)]) {
        await new Promise<void>((resolve) => {
          const socket = connect(path, () => socket.end(Buffer.from(garbage, "latin1")));
          socket.on("error", () => {});
          socket.on("close", () => resolve());
          socket.resume();
        });
      }
    }
    assert.equal((await stack.ctr("version")).status, 0);
    assert.doesNotMatch(stack.log, /uncaught|unhandled/);
  });

  test("a truncated archive leaves neither image nor snapshot", async () => {
    const path = join(stack.folder, "cut.tar");
    const archive = await busyboxArchive("docker.io/library/cut:1");
    writeFileSync(path, archive.subarray(0, archive.length - 600_000));
    const result = await stack.ctr("images", "import", path);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /unexpected EOF/);
    assert.doesNotMatch((await stack.ctr("images", "ls")).stdout, /cut/);
  });

  test("a second daemon on the same socket is refused, the first goes on", () => {
    const other = join(stack.folder, "other");
    const result = run(["--address", stack.address, "--root", join(other, "root"), "--state", join(other, "state")]);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /another containerd serves/);
  });

  test("a database damaged while it was away is set aside, and containers are found all the same", async () => {
    assert.equal((await stack.ctr("run", "-d", IMAGE, "kept", "sleep", "1000")).status, 0);
    await stack.stopContainerd("SIGKILL");
    const folder = join(stack.folder, "root/io.containerd.metadata.v1.sqlite");
    for (const suffix of ["-wal", "-shm"]) rmSync(join(folder, `metadata.sqlite${suffix}`), { force: true });
    writeFileSync(join(folder, "metadata.sqlite"), "this is no database".repeat(1000));
    await stack.startContainerd();
    assert.match(stack.log, /metadata database .* is damaged .* set aside as/);
    assert(readdirSync(folder).some((name) => name.includes("damaged")));
    const containerd = new RemoteContainerd(stack.address);
    const { tasks } = containerd.scoped({ namespace: stack.namespace, lease: null, acknowledged: true });
    assert.deepEqual(
      (await tasks.list()).map((task) => [task.containerId, task.status]),
      [["kept", "running"]],
    );
    containerd.close();
    // Blobs older than the new database are nobody's garbage.
    assert(readdirSync(join(stack.folder, "root/io.containerd.content.v1.content/blobs/sha256")).length > 0);
  });
}

describe("our containerd's command line", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "gantry-containerd-"));
  after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "config.toml");

  for (const [what, text, words] of [
    ["a syntax error", "version = 2\nroot = /x\n", /config\.toml:2: a string, an integer, true, false or an array/],
    ["an unknown name", "version = 2\nrooot = '/x'\n", /config\.toml: rooot is not known/],
    ["a relative root", "root = 'x'\n", /path "x" must be absolute/],
    ["a later version", "version = 9\n", /unsupported config version: 9/],
    ["a bad level", "[debug]\nlevel = 'loud'\n", /not a valid logrus Level: "loud"/],
  ] as const) {
    test(`a configuration with ${what} is refused with the place`, () => {
      writeFileSync(config, text);
      const result = run(["--config", config]);
      assert.equal(result.status, 1);
      assert.match(result.stderr, words);
    });
  }

  test("a missing configuration file and an unknown flag are refused", () => {
    assert.match(run(["--config", join(folder, "none")]).stderr, /no such file or directory/);
    const flag = run(["--frobnicate"]);
    assert.equal(flag.status, 1);
    assert.match(flag.stderr, /flag provided but not defined: -frobnicate/);
  });

  test("the data of the original containerd is refused with its directory named", () => {
    const root = join(folder, "bolt");
    mkdirSync(join(root, "io.containerd.metadata.v1.bolt"), { recursive: true });
    writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), "x");
    const result = run(["--root", root, "--state", join(folder, "state"), "--address", join(folder, "c.sock")]);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /belongs to another containerd/);
    assert.deepEqual(readdirSync(root), ["io.containerd.metadata.v1.bolt"]);
  });

  test("it prints its version and its configuration", () => {
    assert.match(run(["--version"]).stdout, /^containerd github.com\/containerd\/containerd v\d/);
    assert.match(run(["config", "default"]).stdout, /^root = "\/var\/lib\/containerd"$/m);
  });
});

describe("the original dockerd on our containerd", { skip: skip !== false ? skip : !existsSync(DOCKERD) }, () => {
  const stack = new Stack(chain);
  const folder = mkdtempSync(join(tmpdir(), "gantry-dockerd-"));
  const socket = join(folder, "docker.sock");
  let dockerd: ChildProcess;
  const docker = (args: readonly string[], input: Uint8Array | string = "") => {
    const line = ["-H", `unix://${socket}`, ...args];
    const result = spawnSync("/usr/bin/docker", line, { input, encoding: "utf8", timeout: 30_000 });
    return { status: result.status, output: result.stdout, error: result.stderr };
  };
  before(async () => {
    await stack.start();
    const log = openSync(join(folder, "log"), "a");
    const paths = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec"), "-p", join(folder, "pid")];
    const network = ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
    const line = ["--containerd", stack.address, "-H", `unix://${socket}`, ...paths, ...network];
    dockerd = spawn(DOCKERD, line, { stdio: ["ignore", log, log] });
    await until("dockerd answers", () => docker(["version"]).status === 0);
    assert.equal(docker(["load"], await busyboxArchive("busybox:latest")).status, 0);
  });
  after(async () => {
    docker(["rm", "-f", "long"]);
    const ended = new Promise((resolve) => dockerd.once("exit", resolve));
    dockerd.kill("SIGTERM");
    await ended;
    await stack[Symbol.asyncDispose]();
    spawnSync("sh", ["-c", `grep ${folder} /proc/mounts | cut -d' ' -f2 | xargs -r umount -l`]);
    rmSync(folder, { recursive: true, force: true });
  });

  test("docker run prints the output and gives the exit code", () => {
    const result = docker(["run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo out; exit 5"]);
    assert.deepEqual([result.status, result.output], [5, "out\n"], result.error);
  });

  test("a container outlives our killed containerd, is entered after it is back, and stops with its code", async () => {
    const script = "trap 'exit 6' TERM; while :; do sleep 0.1; done";
    assert.equal(docker(["run", "-d", "--name", "long", "--network", "none", "busybox", "sh", "-c", script]).status, 0);
    await stack.stopContainerd("SIGKILL");
    await stack.startContainerd();
    await until("docker reaches it again", () => docker(["exec", "long", "true"]).status === 0);
    assert.match(docker(["ps"]).output, /\bUp\b.*long/);
    assert.equal(docker(["stop", "long"]).status, 0);
    assert.equal(docker(["inspect", "-f", "{{.State.ExitCode}}", "long"]).output, "6\n");
    assert.equal(docker(["rm", "long"]).status, 0);
  });
});

function run(args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(programOf("containerd", "ours"), args, { encoding: "utf8", timeout: 20_000 });
}
