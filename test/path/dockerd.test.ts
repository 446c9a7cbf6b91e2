// dockerd on our own chain, end to end: what only shows with bridge, shim-written logs and a second daemon.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { layout } from "../../tools/build/paths.ts";
import { Lab, until } from "../lab.ts";

const PORT = 18083;
const DOCKERD = join(layout.bin, "dockerd");

describe("dockerd on our chain", () => {
  let lab: Lab;

  before(async () => {
    lab = new Lab();
    await lab.engine.start(["--live-restore=true"]);
    await lab.engine.haveBusybox();
  });
  after(async () => await lab[Symbol.asyncDispose]());

  test("a published port answers, a second container cannot take it, and it is free after the first one goes", () => {
    lab.docker("run", "-d", "--name", "web", "-p", `${PORT}:80`, "busybox", "httpd", "-f", "-p", "80", "-h", "/etc");
    const page = lab.inside("busybox", "wget", "-q", "-O", "-", `http://127.0.0.1:${PORT}/passwd`);
    assert.match(page.stdout, /root:x:0:0/);
    const second = lab.engine.docker("run", "--rm", "-p", `${PORT}:80`, "busybox", "true");
    assert.equal(second.status, 125);
    assert.match(
      second.stderr,
      /driver failed programming external connectivity on endpoint \S+ \(\w+\): .*port is already allocated/,
    );
    lab.docker("rm", "-f", "web");
    lab.docker("run", "--rm", "-p", `${PORT}:80`, "busybox", "true");
  });

  test("the shim writes the log, in the container's folder under Docker's name", () => {
    const id = lab.docker("run", "-d", "busybox", "sh", "-c", "echo logged; echo wrong >&2").trim();
    lab.docker("wait", id);
    const log = readFileSync(join(lab.engine.places.data, "containers", id, `${id}-json.log`), "utf8");
    assert.match(log, /"log":"logged\\n","stream":"stdout"/);
    assert.match(log, /"log":"wrong\\n","stream":"stderr"/);
    assert.equal(lab.docker("logs", id), "logged\n");
    lab.docker("rm", id);
    assert.ok(!existsSync(join(lab.engine.places.data, "containers", id)));
  });

  test("twenty thousand lines reach an attached client whole and in order", () => {
    const script = "i=0; while [ $i -lt 20000 ]; do echo $i of many different lines; i=$((i+1)); done";
    const lines = lab.docker("run", "--rm", "busybox", "sh", "-c", script).trimEnd().split("\n");
    assert.equal(lines.length, 20_000);
    for (const [at, line] of lines.entries()) assert.equal(line, `${at} of many different lines`);
  });

  test("a restart policy starts a container again, at most as often as it says", async () => {
    lab.docker("run", "-d", "--name", "failing", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 5");
    const count = () => lab.docker("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "failing").trim();
    await until("two restarts", () => count() === "2 exited");
    lab.docker("rm", "failing");
  });

  test("a second daemon on the same data root is refused with a sentence and status 1", () => {
    const { data, run } = lab.engine.places;
    const args = ["--data-root", data, "--exec-root", `${run}2`, "-H", `unix://${run}2/d.sock`, "-p", `${run}2/d.pid`];
    const second = spawnSync(DOCKERD, args, { encoding: "utf8", timeout: 60_000 });
    assert.equal(second.status, 1);
    assert.match(second.stderr, /is in use by another daemon, PID \d+/);
    rmSync(`${run}2`, { recursive: true, force: true });
  });

  test("removed containers leave no folder, snapshot, row, FIFO or network namespace", async () => {
    lab.docker("run", "--rm", "busybox", "true");
    const { data, run } = lab.engine.places;
    await until("folders are gone", () => readdirSync(join(data, "containers")).length === 0);
    const folders = () => readdirSync(join(run, "containerd")).filter((name) => /^[0-9a-f]{64}$/.test(name));
    assert.deepEqual(folders(), []);
    assert.deepEqual(readdirSync(join(run, "net", "netns")), []);
  });
});

describe("a data root of another engine", () => {
  for (const mark of ["overlay2", "image", "network/files/local-kv.db"]) {
    test(`is refused when it has ${mark}`, () => {
      const root = mkdtempSync(join(tmpdir(), "gantry-foreign-"));
      try {
        mkdirSync(join(root, mark), { recursive: true });
        const args = ["--data-root", root, "--exec-root", `${root}/run`, "-H", `unix://${root}/s`, "-p", `${root}/p`];
        const result = spawnSync(DOCKERD, args, { encoding: "utf8", timeout: 60_000 });
        assert.equal(result.status, 1);
        assert.match(result.stderr, /belongs to another engine/);
        assert.ok(!existsSync(join(root, "containers")), "nothing was made in it");
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
    });
  }
});
