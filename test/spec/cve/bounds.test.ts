// CVE-2021-43784, CVE-2023-25153 and their kin: every length is checked against a limit, and no file of a container can
// make the runtime wait, eat memory or read beyond it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, OURS, RuntimeBench } from "../../bundle.ts";
import type { Bend } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const MEGABYTE = 1 << 20;

/** Runs under a limit of address space in kilobytes; a runtime that reads without bound dies of it. */
function bounded(kilobytes: number, args: readonly string[]) {
  const line = `ulimit -v ${kilobytes}; exec "$@"`;
  const all = ["--root", bench.rootOf(OURS), "--log", bench.logOf(OURS), "--log-format", "json", ...args];
  return spawnSync("sh", ["-c", line, "sh", OURS, ...all], { cwd: bench.path, encoding: "utf8", timeout: 30_000 });
}

describe("/etc/passwd of an image", () => {
  const passwd = join(bench.rootfs, "etc/passwd");
  const home = ["sh", "-c", "echo $HOME"];
  const kinds: readonly (readonly [what: string, make: () => void])[] = [
    ["a fifo that nobody writes to", () => void spawnSync("mkfifo", [passwd])],
    ["an endless device", () => void spawnSync("mknod", [passwd, "c", "1", "5"])],
    ["a link to one", () => symlinkSync("/dev/zero", passwd)],
    ["a link to itself", () => symlinkSync("passwd", passwd)],
    ["a directory", () => mkdirSync(passwd)],
    [
      "a file of eight gigabytes",
      () => {
        writeFileSync(passwd, "");
        truncateSync(passwd, 8 * 1024 * MEGABYTE);
      },
    ],
    ["one line of two megabytes", () => writeFileSync(passwd, `x:${"y".repeat(2 * MEGABYTE)}:0:0::/home/x:/bin/sh`)],
    ["a file of other bytes than text", () => writeFileSync(passwd, Buffer.from([0xff, 0xfe, 0, 0x3a, 0x80]))],
  ];
  for (const [what, make] of kinds) {
    test(`that is ${what} holds nobody up, for the first process and one of exec`, () => {
      rmSync(passwd, { recursive: true, force: true });
      make();
      const bend: Bend = (config) => {
        config.process.user = { uid: 77, gid: 0 };
        config.linux.resources.memory = { limit: 64 * MEGABYTE };
      };
      assert.equal(bench.run(home, bend).stdout, "/\n", bench.lastError());
      const id = bench.start(["sleep", "60"], bend);
      assert.equal(bench.runc(["exec", "--user", "77", id, ...home]).stdout, "/\n");
      bench.runc(["delete", "--force", id]);
      rmSync(passwd, { recursive: true, force: true });
    });
  }
});

describe("a file that the runtime reads", () => {
  for (const name of ["config.json", "process.json"]) {
    test(`(${name}) of four gigabytes is refused, with little memory`, () => {
      const id = bench.start(["sleep", "60"]);
      const path = join(bench.path, name);
      writeFileSync(path, "");
      truncateSync(path, 4 * 1024 * MEGABYTE);
      const line = name === "config.json" ? ["run", bench.newId()] : ["exec", "--process", path, id];
      const result = bounded(600_000, line);
      assert.ok(result.status !== 0 && result.status !== null, String(result.signal));
      assert.match(bench.lastError(), /more than \d+ bytes to read/);
      rmSync(path);
      bench.runc(["delete", "--force", id]);
    });

    test(`(${name}) of a hundred thousand open brackets is refused with a sentence`, () => {
      const id = bench.start(["sleep", "60"]);
      const path = join(bench.path, name);
      for (const text of ["[".repeat(100_000), '{"a":'.repeat(100_000)]) {
        writeFileSync(path, text);
        const line = name === "config.json" ? ["run", bench.newId()] : ["exec", "--process", path, id];
        const result = bench.runc(line);
        assert.equal(result.signal, null);
        assert.notEqual(result.status, 0);
        assert.notEqual(bench.lastError(), "");
      }
      rmSync(path);
      bench.runc(["delete", "--force", id]);
    });
  }
});

describe("a length of config.json beyond what a message or the kernel holds", () => {
  const own = ["sh", "-c", "for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done"];
  const host = spawnSync("sh", ["-c", own[2]!], { encoding: "utf8" }).stdout.trim().split("\n");
  const long = "x".repeat(70_000);
  /** The reverse of the vulnerability: what stands behind the overflow would have been read as other settings. */
  const cases: readonly (readonly [what: string, bend: Bend])[] = [
    [
      "a mount's source",
      (c) => c.mounts.push({ destination: "/tmp/x", type: "bind", source: `/${long}`, options: ["bind"] }),
    ],
    [
      "a mount's destination",
      (c) => c.mounts.push({ destination: `/${long}`, type: "tmpfs", source: "t", options: [] }),
    ],
    [
      "a mount's option",
      (c) => c.mounts.push({ destination: "/tmp/x", type: "tmpfs", source: "t", options: [`size=${long}`] }),
    ],
    ["a namespace's path", (c) => (c.linux.namespaces.find((n: Config) => n.type === "network").path = `/${long}`)],
    ["the working directory", (c) => (c.process.cwd = `/${long}`)],
    ["the root's path", (c) => (c.root.path = `/${long}`)],
    ["a setting's value", (c) => (c.linux.sysctl = { "net.ipv4.ip_forward": long })],
    ["the host's name", (c) => (c.hostname = long)],
    ["the program's name", (c) => (c.process.args = [`/${long}`])],
    ["a device's path", (c) => (c.linux.devices = [{ path: `/dev/${long}`, type: "c", major: 1, minor: 3 }])],
    [
      "the list of mappings",
      (c) => {
        c.linux.namespaces.push({ type: "user" });
        const maps = Array.from({ length: 8000 }, (_, at) => ({ containerID: at, hostID: 100_000 + 2 * at, size: 1 }));
        Object.assign(c.linux, { uidMappings: maps, gidMappings: maps });
      },
    ],
  ];
  for (const [what, bend] of cases) {
    test(`(${what}) ends with a sentence and without a container`, () => {
      const result = bench.run(own, bend);
      assert.equal(result.signal, null);
      assert.notEqual(result.status, 0);
      assert.equal(result.stdout, "");
      assert.notEqual(bench.lastError(), "");
      assert.doesNotMatch(bench.lastError(), /before its program began/);
    });
  }

  test("an annotation of megabytes changes nothing of the namespaces", () => {
    const result = bench.run(own, (config) => {
      config.annotations = { long: "\0\u0001".repeat(MEGABYTE / 2), [long]: "" };
      config.process.env.push(`LONG=${long}`);
    });
    assert.equal(result.status, 0, bench.lastError());
    for (const [at, namespace] of result.stdout.trim().split("\n").entries()) assert.notEqual(namespace, host[at]);
  });

  test("the output of a hook that talks without end is kept only in part, and its failure told", () => {
    const args = ["sh", "-c", "head -c 300000000 /dev/zero | tr '\\0' y; exit 3"];
    bench.configure(["true"], (config) => (config.hooks = { createRuntime: [{ path: "/bin/sh", args }] }));
    const result = bounded(600_000, ["run", bench.newId()]);
    assert.equal(result.status, 1);
    assert.match(bench.lastError(), /exit status 3/);
    assert.ok(bench.lastError().length < 200_000);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
