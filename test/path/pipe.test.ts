// The classic demonstration of what a shim is for: a container that writes to a pipe dies of SIGPIPE when the reader
// goes, if bare `runc run --detach` gave it the pipe; under the shim it lives.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeBundle } from "../../bench/bundle.ts";
import { layout } from "../../tools/build/paths.ts";
import { alive, Lab, until } from "../lab.ts";

const LOOP = "while true; do echo line || exit 3; sleep 0.05; done";

test("under bare runc a container whose reader is gone dies of SIGPIPE", async () => {
  using bundle = makeBundle(["sh", "-c", `exec cat /dev/zero`]);
  const root = mkdtempSync(join(tmpdir(), "gantry-pipe-"));
  const runc = (...args: string[]) => spawnSync(join(layout.bin, "runc"), ["--root", root, ...args]);
  const id = `pipe-${process.pid}`;
  const child = spawn(
    join(layout.bin, "runc"),
    ["--root", root, "run", "--detach", "--pid-file", join(root, "pid"), id],
    { cwd: bundle.path, stdio: ["ignore", "pipe", "ignore"] },
  );
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const pid = Number(readFileSync(join(root, "pid"), "utf8"));
    assert.ok(alive(pid));
    child.stdout.destroy();
    await until("the container is dead", () => !alive(pid), 30_000);
    assert.match(String(runc("state", id).stdout), /"status": "stopped"/);
  } finally {
    runc("delete", "--force", id);
    rmSync(root, { recursive: true, force: true });
  }
});

test("under the shim a container lives on when every reader of its output is gone", async () => {
  await using lab = new Lab();
  await lab.engine.start(["--live-restore=true"]);
  await lab.engine.haveBusybox();
  const docker = join(layout.bin, "docker");
  const args = ["-H", lab.engine.host, "run", "--name", "talker", "--network", "none", "busybox", "sh", "-c", LOOP];
  const client = spawn(docker, args, { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((resolve) => client.stdout.once("data", resolve));
  const pid = Number(lab.docker("inspect", "-f", "{{.State.Pid}}", "talker"));
  client.stdout.destroy();
  client.kill("SIGKILL");
  for (const daemon of [...lab.pids("dockerd"), ...lab.pids("containerd")]) process.kill(daemon, "SIGKILL");
  await sleep(1000);
  assert.ok(alive(pid), "the container lives");
  await lab.engine.start(["--live-restore=true"]);
  await until("it is up", () => lab.engine.docker("ps").stdout.includes("talker"));
});
