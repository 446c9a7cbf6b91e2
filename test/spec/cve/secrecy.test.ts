// What a container can see and touch of the runtime while that comes in: nothing. It is non-dumpable before it enters,
// shares no memory with anybody, and its helper is never in the container's pid namespace.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, OURS, RuntimeBench } from "../../bundle.ts";
import { build } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
build("peek", join(bench.rootfs, "bin/peek"));
const SECONDS = 3;
const strace = { skip: existsSync("/usr/bin/strace") ? false : "strace is not installed" };

/** The attacker's words, while the runtime comes in as `user` for as long as it looks. */
function look(flags: string, options: { user?: string; bend?: (config: Config) => void }): string {
  const out = join(bench.rootfs, "tmp/out");
  const id = bench.start(["sh", "-c", `peek ${SECONDS} ${flags} > /tmp/out; sleep 60`], (config) => {
    config.process.user = { uid: options.user === undefined ? 0 : Number(options.user), gid: 0 };
    config.mounts.push({ destination: "/tmp", type: "bind", source: join(bench.rootfs, "tmp"), options: ["bind"] });
    options.bend?.(config);
  });
  const end = Date.now() + SECONDS * 1000;
  const user = options.user === undefined ? [] : ["--user", options.user];
  while (Date.now() < end) bench.runc(["exec", ...user, id, "true"]);
  for (let waited = 0; waited < 100 && !readFileSync(out, "utf8").includes("seen"); waited++)
    spawnSync("sleep", ["0.1"]);
  bench.runc(["delete", "--force", id]);
  return readFileSync(out, "utf8");
}

describe("a process of a container, while the runtime comes in by exec", () => {
  spawnSync("chmod", ["1777", join(bench.rootfs, "tmp")]);
  test("as root sees it and reaches none of its files, memory and descriptors, and cannot trace it", () => {
    const output = look("", {});
    assert.doesNotMatch(output, /REACHED/);
    assert.match(output, /seen [1-9]/);
  });

  test("as the new process's own user does not, either, also where the system lets such processes be dumped", () => {
    const setting = "/proc/sys/fs/suid_dumpable";
    const before = readFileSync(setting, "utf8");
    try {
      writeFileSync(setting, "1");
    } catch {
      return;
    }
    try {
      writeFileSync(join(bench.rootfs, "tmp/out"), "", { mode: 0o666 });
      spawnSync("chmod", ["666", join(bench.rootfs, "tmp/out")]);
      assert.doesNotMatch(look("", { user: "4321", bend: (config) => (config.process.capabilities = {}) }), /REACHED/);
    } finally {
      writeFileSync(setting, before);
    }
  });

  test("cannot end more than its own exec, and leaves the runtime able to come in again", () => {
    const output = look("kill", {});
    assert.match(output, /seen \d/);
    const id = bench.start(["sleep", "60"]);
    assert.equal(bench.runc(["exec", id, "echo", "in"]).stdout, "in\n");
    bench.runc(["delete", "--force", id]);
  });

  test("that shares the pid namespace with other containers sees no helper of theirs", () => {
    const first = bench.start(["sh", "-c", `peek ${SECONDS} > /tmp/out; sleep 60`]);
    const { pid } = JSON.parse(bench.runc(["state", first]).stdout);
    const end = Date.now() + SECONDS * 1000;
    while (Date.now() < end) {
      bench.run(["true"], (config) => {
        for (const one of config.linux.namespaces) if (one.type === "pid") one.path = `/proc/${pid}/ns/pid`;
      });
    }
    spawnSync("sleep", ["1"]);
    bench.runc(["delete", "--force", first]);
    assert.doesNotMatch(readFileSync(join(bench.rootfs, "tmp/out"), "utf8"), /REACHED/);
  });
});

describe("a container that waits for its start", () => {
  test("is not to be looked into by its own user or by what shares its pid namespace", () => {
    bench.configure(["sleep", "60"]);
    const id = bench.newId();
    bench.runc(["create", id]);
    const output = bench.runc([
      "exec",
      id,
      "sh",
      "-c",
      "readlink /proc/1/exe /proc/1/fd/*; cat /proc/1/environ; echo end",
    ]);
    assert.equal(output.stdout, "end\n");
    bench.runc(["delete", "--force", id]);
  });
});

test("nobody in a container shares memory with the runtime: no clone asks for it", strace, () => {
  bench.configure(["true"]);
  const trace = join(bench.path, "trace");
  for (const line of [["run", bench.newId()]]) {
    const args = [
      "-f",
      "-qq",
      "-e",
      "trace=clone,clone3,vfork,fork",
      "-o",
      trace,
      OURS,
      "--root",
      bench.rootOf(OURS),
      ...line,
    ];
    spawnSync("strace", args, { cwd: bench.path });
    const calls = readFileSync(trace, "utf8");
    assert.match(calls, /clone3?\(/);
    assert.doesNotMatch(calls, /CLONE_VM|vfork\(/);
  }
  const id = bench.start(["sleep", "60"]);
  const args = ["-f", "-qq", "-e", "trace=clone,clone3,vfork,fork,execve,prctl,setns", "-o", trace];
  spawnSync("strace", [...args, OURS, "--root", bench.rootOf(OURS), "exec", id, "true"], { cwd: bench.path });
  const calls = readFileSync(trace, "utf8");
  assert.doesNotMatch(calls, /CLONE_VM|vfork\(/);
  // Hidden before the container's namespaces are entered.
  assert.ok(calls.indexOf("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < calls.indexOf("setns("), calls);
  assert.ok(calls.indexOf("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") > 0);
  bench.runc(["delete", "--force", id]);
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
