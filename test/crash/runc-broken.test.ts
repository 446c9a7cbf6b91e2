// Containers whose traces are broken: `delete --force` clears what it finds, other commands say what is wrong, and
// nothing that is not the container's is touched. And records of the original runtime, read by ours and the other way
// round.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS } from "../bundle.ts";
import { CrashLab, original } from "./runc/lab.ts";

const lab = new CrashLab();
after(() => lab[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };
const sleeper = (bend?: (config: Config) => void) => lab.start(["sleep", "60"], bend);
const record = (id: string) => join(lab.rootOf(OURS), id, "state.json");

function clears(id: string): void {
  assert.equal(lab.runc(["delete", "--force", id]).status, 0, lab.lastError());
  assert.deepEqual(lab.remains(), []);
}

describe("a record that is damaged", () => {
  const damages: readonly (readonly [what: string, damage: (path: string) => void])[] = [
    ["missing", (path) => rmSync(path)],
    ["empty", (path) => writeFileSync(path, "")],
    ["cut in the middle", (path) => writeFileSync(path, readFileSync(path).subarray(0, 300))],
    ["cut near its end", (path) => writeFileSync(path, readFileSync(path).subarray(0, -9))],
    ["binary", (path) => writeFileSync(path, Buffer.alloc(4096, 0xff))],
    ["of another shape", (path) => writeFileSync(path, '{"id":7,"config":[]}')],
    ["a directory", intoDirectory],
    ["nested too deep", (path) => writeFileSync(path, `${'{"config":'.repeat(20_000)}1`)],
    ["one that names a pid below zero", (path) => change(path, (value) => (value.init_process_pid = -1))],
    [
      "one that names another's directories",
      (path) => change(path, (value) => (value.cgroup_paths = { pids: "/tmp/../etc" })),
    ],
  ];
  for (const [what, damage] of damages) {
    test(`${what}: the container is cleared by force alone`, () => {
      const id = sleeper();
      damage(record(id));
      const state = lab.runc(["state", id]);
      assert.equal(state.status, 1);
      assert.match(lab.lastError(), /^(container does not exist|.* is damaged: .*|read .*: is a directory)$/);
      assert.equal(lab.runc(["list"]).status, 0);
      clears(id);
    });
  }

  test("that names the runtime's own cgroup ends nobody", () => {
    const id = sleeper();
    change(record(id), (value) => (value.cgroup_paths.pids = "/sys/fs/cgroup/pids"));
    rmSync(join(lab.rootOf(OURS), id, "made"));
    assert.equal(lab.runc(["delete", "--force", id]).status, 1);
    assert.match(lab.lastError(), /holds this runtime/);
    change(
      record(id),
      (value) => (value.cgroup_paths.pids = value.cgroup_paths.devices.replace("/devices/", "/pids/")),
    );
    clears(id);
  });
});

function intoDirectory(path: string): void {
  rmSync(path);
  mkdirSync(join(path, "deeper"), { recursive: true });
}

function change(path: string, bend: (value: Config) => unknown): void {
  const value = JSON.parse(readFileSync(path, "utf8"));
  bend(value);
  writeFileSync(path, JSON.stringify(value));
}

describe("a container", () => {
  test("whose record is of another boot is stopped, and the process that has its pid now lives on", () => {
    const id = sleeper();
    lab.runc(["kill", id, "KILL"]);
    // The kernel tells start times in hundredths of a second: another boot's are surely others.
    spawnSync("sleep", ["0.05"]);
    const other = spawn("sleep", ["60"], { stdio: "ignore" });
    change(record(id), (value) => (value.init_process_pid = other.pid));
    assert.equal(lab.status(id), "stopped");
    assert.equal(lab.runc(["kill", id, "KILL"]).status, 1);
    assert.equal(lab.lastError(), "container not running");
    clears(id);
    assert.equal(other.exitCode, null);
    assert.equal(other.kill("SIGKILL"), true);
  });

  test("that is frozen before its start is cleared", () => {
    lab.configure(["sleep", "60"]);
    const id = lab.newId();
    lab.runc(["create", id]);
    assert.equal(lab.runc(["pause", id]).status, 0);
    clears(id);
  });

  test("that cannot die is left whole, and cleared once it can", () => {
    const parent = `/sys/fs/cgroup/freezer/${lab.tag}-above`;
    const id = sleeper((config) => {
      config.linux.cgroupsPath = `/${lab.tag}-above/inner`;
    });
    writeFileSync(join(parent, "freezer.state"), "FROZEN");
    assert.equal(lab.runc(["delete", "--force", id]).status, 1);
    assert.equal(lab.lastError(), "container init still running");
    assert.equal(lab.runc(["state", id]).status, 0);
    writeFileSync(join(parent, "freezer.state"), "THAWED");
    assert.equal(lab.runc(["delete", "--force", id]).status, 0);
    const above = spawnSync("find", ["/sys/fs/cgroup", "-name", `${lab.tag}-above`], { encoding: "utf8" });
    for (const path of above.stdout.split("\n").filter(Boolean)) rmdirSync(path);
    assert.deepEqual(lab.remains(), []);
  });

  test("whose cgroups vanished is killed and deleted", () => {
    const id = sleeper();
    const { cgroup_paths: paths, init_process_pid: pid } = JSON.parse(readFileSync(record(id), "utf8"));
    for (const path of new Set(Object.values<string>(paths))) {
      writeFileSync(join(path, "..", "cgroup.procs"), String(pid));
      rmdirSync(path);
    }
    assert.equal(lab.status(id), "running");
    assert.equal(lab.runc(["exec", id, "true"]).status, 255);
    assert.match(lab.lastError(), /^exec failed: .*: no such file or directory$/);
    clears(id);
  });

  test("of which only the directory is there, with things of others in it, is cleared", () => {
    const directory = join(lab.rootOf(OURS), lab.newId());
    mkdirSync(join(directory, "a/b"), { recursive: true });
    writeFileSync(join(directory, "a/b/file"), "x");
    symlinkSync("/etc", join(directory, "link"));
    clears(directory.slice(directory.lastIndexOf("/") + 1));
    assert.equal(existsSync("/etc/passwd"), true);
  });
});

describe("the directory of a container", () => {
  test("cannot be a link to somewhere else", () => {
    const elsewhere = join(lab.path, "elsewhere");
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, "precious"), "x");
    const id = lab.newId();
    symlinkSync(elsewhere, join(lab.rootOf(OURS), id));
    assert.equal(lab.runc(["delete", "--force", id]).status, 1);
    assert.match(lab.lastError(), /not a directory|too many levels/);
    assert.equal(lab.runc(["create", id]).status, 1);
    assert.match(lab.lastError(), /container with given ID already exists/);
    assert.equal(readFileSync(join(elsewhere, "precious"), "utf8"), "x");
    rmSync(join(lab.rootOf(OURS), id));
  });

  test("is named by an id that is a plain name and no longer than a name may be", () => {
    lab.configure(["true"]);
    for (const id of ["", ".", "..", "a/b", "../a", "a b", "é", "a\n", "x".repeat(1025)]) {
      for (const line of [
        ["run", id],
        ["state", id],
        ["delete", "--force", id],
        ["kill", id],
        ["exec", id, "true"],
      ]) {
        assert.notEqual(lab.runc(line).status, 0, line.join(" "));
      }
    }
    assert.equal(lab.runc(["create", "x".repeat(300)]).status, 1);
    assert.match(lab.lastError(), /file name too long/);
    assert.deepEqual(lab.remains(), []);
  });

  test("and its root have the original's modes whatever the umask is", () => {
    lab.configure(["sleep", "60"]);
    const id = lab.newId();
    const line = `umask 000; ${OURS} --root ${lab.path}/fresh/root run --detach ${id} >/dev/null 2>&1 </dev/null`;
    assert.equal(spawnSync("sh", ["-c", line], { cwd: lab.path }).status, 0);
    const mode = (path: string) => (statSync(join(lab.path, "fresh/root", path)).mode & 0o777).toString(8);
    assert.deepEqual([mode(""), mode(id), mode(`${id}/state.json`)], ["700", "711", "600"]);
    assert.equal(spawnSync(OURS, ["--root", join(lab.path, "fresh/root"), "delete", "--force", id]).status, 0);
    chmodSync(join(lab.path, "fresh"), 0o700);
    rmSync(join(lab.path, "fresh"), { recursive: true });
  });
});

describe("between ours and the original", both, () => {
  test("a container of the original is listed, looked into, paused, killed and deleted by ours", () => {
    lab.configure(["sleep", "60"], (config) => {
      config.hooks = { poststop: [{ path: "/bin/sh", args: ["sh", "-c", `cat > ${lab.path}/end`], timeout: 5 }] };
    });
    const id = lab.newId();
    const line = `${ORIGINAL} --root ${lab.rootOf(OURS)} run --detach ${id} >/dev/null 2>&1 </dev/null`;
    assert.equal(spawnSync("sh", ["-c", line], { cwd: lab.path }).status, 0);
    assert.equal(lab.status(id), "running");
    assert.equal(lab.runc(["list"]).stdout, original(lab, "list").stdout);
    assert.equal(lab.runc(["exec", id, "echo", "hi"]).stdout, "hi\n");
    assert.equal(lab.runc(["pause", id]).status, 0);
    assert.equal(JSON.parse(original(lab, "state", id).stdout).status, "paused");
    assert.equal(lab.runc(["resume", id]).status, 0);
    assert.equal(lab.runc(["update", "--pids-limit", "44", id]).status, 0);
    assert.equal(lab.runc(["kill", id, "KILL"]).status, 0);
    clears(id);
    assert.match(readFileSync(join(lab.path, "end"), "utf8"), /"status":"stopped"/);
  });

  test("a container that the original created is started by ours, and one of ours by the original", () => {
    lab.configure(["sleep", "60"]);
    const [theirs, ours] = [lab.newId(), lab.newId()];
    const line = `${ORIGINAL} --root ${lab.rootOf(OURS)} create ${theirs} >/dev/null 2>&1 </dev/null`;
    assert.equal(spawnSync("sh", ["-c", line], { cwd: lab.path }).status, 0);
    assert.equal(lab.status(theirs), "created");
    assert.equal(lab.runc(["start", theirs]).status, 0, lab.lastError());
    assert.equal(lab.status(theirs), "running");
    assert.equal(lab.runc(["create", ours]).status, 0);
    assert.equal(original(lab, "start", ours).status, 0);
    assert.equal(JSON.parse(original(lab, "state", ours).stdout).status, "running");
    assert.equal(lab.runc(["delete", "--force", theirs]).status, 0);
    clears(ours);
  });

  test("a container of ours is listed, looked into, killed and deleted by the original", () => {
    const id = sleeper();
    assert.equal(JSON.parse(original(lab, "state", id).stdout).status, "running");
    assert.equal(original(lab, "exec", id, "echo", "hi").stdout, "hi\n");
    assert.equal(original(lab, "kill", id, "KILL").status, 0);
    assert.equal(original(lab, "delete", "--force", id).status, 0);
    assert.deepEqual(lab.remains(), []);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(lab.leftovers(), []));
