// CVE-2024-21626 and its kin: a descriptor of the host's that stays open on the way into a container is a way out, by
// the working directory, by the program's name or by what the program inherits. The caller here leaves one open for the
// host's root and one for a directory of programs, without close-on-exec.

import assert from "node:assert/strict";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { OURS, RuntimeBench } from "../../bundle.ts";
import { type Bend, withOpen } from "./attack.ts";

const bench = new RuntimeBench();
const held = ["/", "/bin", "/", "/bin"].map((path) => openSync(path, "r"));
after(() => {
  for (const fd of held) closeSync(fd);
  bench[Symbol.dispose]();
});
const DESCRIPTORS = Array.from({ length: 28 }, (_, at) => at + 3);
const HOST = statSync("/").ino;

const leave = (id: string) => bench.runc(["delete", "--force", id]);
const cwd =
  (path: string): Bend =>
  (config) =>
    (config.process.cwd = path);

describe("a descriptor that the caller left open", () => {
  for (const way of ["run", "exec"] as const) {
    test(`is no working directory of ${way}, and neither is one of the runtime's own`, () => {
      const script = "stat -c %i . ../../../../../../../..";
      const sleeper = way === "exec" ? bench.start(["sleep", "60"]) : "";
      for (const fd of DESCRIPTORS) {
        for (const path of [`/proc/self/fd/${fd}`, `/proc/1/fd/${fd}`, `/proc/thread-self/fd/${fd}/..`]) {
          let result: { status: number | null; stdout: string };
          if (way === "exec") result = withOpen(bench, held, ["exec", "--cwd", path, sleeper, "sh", "-c", script]);
          else {
            bench.configure(["sh", "-c", script], cwd(path));
            result = withOpen(bench, held, ["run", bench.newId()]);
          }
          assert.ok(!result.stdout.split("\n").includes(String(HOST)), `${path}: ${result.stdout}`);
        }
        // Once per descriptor is enough where each call is a whole container.
        if (way === "run" && fd > 12) break;
      }
      if (sleeper !== "") leave(sleeper);
    });

    test(`names no program of the host's for ${way}`, () => {
      const sleeper = way === "exec" ? bench.start(["sleep", "60"]) : "";
      for (const fd of [4, 6]) {
        for (const program of [`/proc/self/fd/${fd}/busybox`, `/proc/self/fd/${fd - 1}/bin/busybox`]) {
          let result: { status: number | null; stdout: string };
          if (way === "exec") result = withOpen(bench, held, ["exec", sleeper, program, "echo", "out"]);
          else {
            bench.configure([program, "echo", "out"]);
            result = withOpen(bench, held, ["run", bench.newId()]);
          }
          assert.equal(result.stdout, "", program);
          assert.notEqual(result.status, 0, program);
        }
      }
      if (sleeper !== "") leave(sleeper);
    });

    test(`does not reach the program of ${way}`, () => {
      const list = ["sh", "-c", "ls -l /proc/self/fd | grep -c '[0-9] -> /\\(bin\\)*$'; ls /proc/self/fd"];
      const sleeper = way === "exec" ? bench.start(["sleep", "60"]) : "";
      bench.configure(list);
      const line = way === "exec" ? ["exec", sleeper, ...list] : ["run", bench.newId()];
      assert.equal(withOpen(bench, held, line).stdout, "0\n0\n1\n2\n3\n");
      if (sleeper !== "") leave(sleeper);
    });
  }

  test("is not kept by a container that waits for its start", () => {
    bench.configure(["true"]);
    const id = bench.newId();
    withOpen(bench, held, ["create", id]);
    const { pid } = JSON.parse(bench.runc(["state", id]).stdout);
    const kept = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    // Its standard files, the fifo it waits at, and a procfs of its own.
    const others = kept.filter((path) => path !== "/dev/null" && !path.endsWith("/exec.fifo"));
    assert.deepEqual(others, ["/"]);
    const procfs = `/proc/${pid}/fd/${readdirSync(`/proc/${pid}/fd`)[kept.indexOf("/")]}`;
    assert.match(readFileSync(`${procfs}/1/comm`, "utf8"), /runc/);
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), "/");
    leave(id);
  });

  for (const kind of ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]) {
    test(`does not reach a hook (${kind})`, () => {
      const inside = kind === "startContainer";
      const out = inside ? "/tmp/hook" : join(bench.path, "hook");
      const seen = inside ? join(bench.rootfs, out) : out;
      writeFileSync(seen, "");
      bench.configure(["true"], (config) => {
        const args = ["sh", "-c", `ls -l /proc/self/fd > ${out}`];
        config.hooks = { [kind]: [{ path: "/bin/sh", args, env: ["PATH=/bin:/usr/bin"] }] };
      });
      withOpen(bench, held, ["run", bench.newId()]);
      const lines = readFileSync(seen, "utf8").split("\n").slice(1);
      const numbers = lines.map((line) => / (\d+)(?: -> |$)/.exec(line)?.[1]).filter((number) => number !== undefined);
      assert.deepEqual(numbers, ["0", "1", "2", "3"], lines.join("\n"));
    });
  }
});

describe("a working directory", () => {
  test("outside of the root is refused, with the words that upper layers know", () => {
    // In the root's own /tmp, which another process moves out from under it: here, what is mounted nowhere.
    const id = bench.start(["sleep", "60"]);
    const result = bench.runc(["exec", "--cwd", "/proc/self/fd/0", id, "pwd"]);
    assert.equal(result.status, 255);
    leave(id);
  });

  test("that is made for the program is made inside the root, whatever links lead there", () => {
    const result = bench.run(["pwd"], cwd("/tmp/../../../../../made/by/us"));
    assert.equal(result.status, 0, bench.lastError());
    assert.throws(() => statSync("/made/by/us"));
    assert.equal(statSync(join(bench.rootfs, "made/by/us")).isDirectory(), true);
  });
});

test("the runtime opens nothing that survives execve: each of its descriptors is close-on-exec", () => {
  const trace = join(bench.path, "trace");
  writeFileSync(trace, "");
  // The parent's own view: what a program that it executes itself (a hook) would inherit.
  const look = `for f in /proc/$PPID/fdinfo/*; do n=\${f##*/}; [ $n -gt 2 ] && grep -H flags $f; done > ${trace}; true`;
  bench.configure(["true"], (config) => {
    config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", look] }] };
  });
  bench.runc(["run", bench.newId()]);
  // What this test itself was left with goes on to all its children.
  const inherited = new Set(readdirSync("/proc/self/fd").filter((fd) => isInherited(fd)));
  const lines = readFileSync(trace, "utf8").trim().split("\n").filter(Boolean);
  const flags = lines.filter((line) => !inherited.has(/fdinfo\/(\d+):/.exec(line)![1]!));
  assert.ok(flags.length > 0);
  for (const line of flags) {
    const octal = Number.parseInt(line.split(/\s+/)[1]!, 8);
    assert.notEqual(octal & 0o2000000, 0, line);
  }
});

function isInherited(fd: string): boolean {
  const file = `/proc/self/fdinfo/${fd}`;
  const flags = existsSync(file) ? /flags:\s+(\d+)/.exec(readFileSync(file, "utf8"))![1]! : "02000000";
  return (Number.parseInt(flags, 8) & 0o2000000) === 0;
}

test("after all of this nothing is left", () => {
  assert.ok(OURS);
  assert.deepEqual(bench.leftovers(), []);
});
