// A container of a user without rights in a scope of that user's own systemd, by its session bus: ours beside the
// original.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ORIGINAL, OURS } from "../bundle.ts";

const USER = "gantry";
const path = mkdtempSync(join(tmpdir(), "gantry-user-"));

/** What the user's systemd needs to come up, in milliseconds. */
const MANAGER_LIMIT = 30_000;

function asUser(script: string): { status: number | null; stdout: string; stderr: string } {
  const set = "export XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus";
  return spawnSync("su", [USER, "-s", "/bin/sh", "-c", `${set}; cd ${path}; ${script}`], { encoding: "utf8" });
}

before(() => {
  for (const name of ["bin", "dev", "proc", "sys"]) mkdirSync(join(path, "rootfs", name), { recursive: true });
  cpSync("/bin/busybox", join(path, "rootfs/bin/busybox"));
  for (const applet of ["sleep", "echo"]) symlinkSync("busybox", join(path, "rootfs/bin", applet));
  spawnSync("chown", ["-R", USER, path]);
  spawnSync("loginctl", ["enable-linger", USER]);
  for (const from = Date.now(); asUser("systemctl --user is-active default.target").status !== 0; ) {
    assert.ok(Date.now() - from < MANAGER_LIMIT, "the user's systemd does not come up");
  }
});

after(() => {
  spawnSync("loginctl", ["disable-linger", USER]);
  rmSync(path, { recursive: true, force: true });
});

const CONFIG = [
  '.process.terminal = false | .process.args = ["sleep", "100"] | .linux.cgroupsPath = "user.slice:gantry:ID"',
  ".linux.resources.memory.limit = 33554432 | .linux.resources.pids.limit = 20",
].join(" | ");

function story(runtime: string, id: string): string[] {
  const run = (line: string) => {
    const { status, stdout } = asUser(`${runtime} --systemd-cgroup ${line}`);
    return `${line.replaceAll(id, "ID")}: ${status} ${stdout.trim()}`;
  };
  const unit = (names: string) => asUser(`systemctl --user show gantry-${id}.scope ${names}`).stdout.trim();
  asUser(
    `rm -f config.json; ${OURS} spec --rootless; jq '${CONFIG.replace("ID", id)}' config.json >c; mv c config.json`,
  );
  return [
    run(`run -d ${id} </dev/null >/dev/null 2>&1`),
    unit("-p MemoryMax -p TasksMax -p Delegate"),
    run(`exec ${id} echo there`),
    run(`update --memory 64M ${id}`),
    unit("-p MemoryMax"),
    run(`kill ${id} KILL`),
    asUser(`for i in $(seq 50); do ${runtime} state ${id} | grep -q stopped && break; sleep 0.1; done`).stdout,
    run(`delete ${id}`),
    unit("-p LoadState"),
  ];
}

test("it is made, entered, changed and ended as the original's, and leaves no unit", () => {
  const ours = story(OURS, "one");
  assert.deepEqual(ours, story(ORIGINAL, "two"));
  assert.match(ours[1]!, /MemoryMax=33554432/);
  assert.equal(ours[2], "exec ID echo there: 0 there");
  assert.equal(ours.at(-1), "LoadState=not-found");
});
