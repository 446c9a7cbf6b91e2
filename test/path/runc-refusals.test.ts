// What runc refuses, in which words, and that nothing half made is left; and what known attacks on runtimes find here.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
/** The newest original names the kind of hook; the installed one does not, and says it twice. */
const HOOK_WORDS = /error running (?:\w+ )?hook #0: (?:error running hook: )?/;

const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

type Bend = (config: Config) => void;

const REFUSED: Readonly<Record<string, Bend>> = {
  "a program that is not there": (config) => (config.process.args = ["nope"]),
  "a path that is not there": (config) => (config.process.args = ["/nope"]),
  "a directory as program": (config) => (config.process.args = ["/etc"]),
  "no program": (config) => (config.process.args = []),
  "a relative working directory": (config) => (config.process.cwd = "foo"),
  "a root that is not there": (config) => (config.root.path = "nope"),
  "no root": (config) => delete config.root,
  "no process": (config) => delete config.process,
  "no linux section but a hostname": (config) => delete config.linux,
  "a bind of nothing": (config) =>
    config.mounts.push({ destination: "/x", type: "bind", source: "/nonexist", options: ["bind"] }),
  "a failing prestart hook": (config) => (config.hooks = { prestart: [{ path: "/bin/false" }] }),
  "a failing createContainer hook": (config) => (config.hooks = { createContainer: [{ path: "/bin/false" }] }),
  "a failing poststart hook": (config) => (config.hooks = { poststart: [{ path: "/bin/false" }] }),
  "a sysctl of the host": (config) => (config.linux.sysctl = { "kernel.foo": "1" }),
  "a sysctl that is not there": (config) => (config.linux.sysctl = { "net.ipv4.foo": "1" }),
  "an unknown limit": (config) => (config.process.rlimits = [{ type: "RLIMIT_FOO", soft: 1, hard: 1 }]),
  "an unknown seccomp action": (config) => (config.linux.seccomp = { defaultAction: "SCMP_ACT_FOO" }),
  "a SELinux label without SELinux": (config) => (config.process.selinuxLabel = "foo"),
  "an impossible memory limit": (config) => (config.linux.resources = { memory: { limit: -5 } }),
  "a namespace path that is not there": (config) => (config.linux.namespaces[1].path = "/nonexist"),
  "an unknown namespace": (config) => config.linux.namespaces.push({ type: "foo" }),
  "a namespace twice": (config) => config.linux.namespaces.push({ type: "pid" }),
  "an unknown propagation": (config) => (config.linux.rootfsPropagation = "foo"),
  "an unknown type of device": (config) =>
    (config.linux.devices = [{ path: "/dev/foo", type: "x", major: 1, minor: 1 }]),
};

describe("what cannot run is refused in the original's words", () => {
  for (const [what, bend] of Object.entries(REFUSED)) {
    test(`${what}`, both, () => {
      const ours = bench.run(["true"], bend);
      const theirs = bench.run(["true"], bend, ORIGINAL);
      const plain = (text: string) =>
        text.replaceAll(/-\d+\/|-\d+: /g, "ID").replace(HOOK_WORDS, "error running hook #0: ");
      assert.equal(plain(bench.lastError()), plain(bench.lastError(ORIGINAL)));
      assert.deepEqual([ours.status, plain(ours.stderr)], [theirs.status, plain(theirs.stderr)]);
    });
  }
});

describe("bad input", () => {
  const types: readonly (readonly [field: string, bend: Bend, wanted: RegExp])[] = [
    [
      "process.user.uid",
      (c) => (c.process.user.uid = "x"),
      /must be an integer from 0 to 4294967295, not the text "x"/,
    ],
    ["process.user.uid", (c) => (c.process.user.uid = 4294967296), /from 0 to 4294967295, not 4294967296/],
    ["process.args[1]", (c) => (c.process.args = ["a", 1]), /must be a text, not 1/],
    ["mounts", (c) => (c.mounts = {}), /must be a list, not an object/],
    ["linux.resources.pids.limit", (c) => (c.linux.resources = { pids: { limit: "9" } }), /must be an integer/],
  ];
  for (const [field, bend, wanted] of types) {
    test(`a wrong type of ${field} is told with the field's name`, () => {
      assert.equal(bench.run(["true"], bend).status, 1);
      assert.ok(bench.lastError().includes(`config.json: ${field} `), bench.lastError());
      assert.match(bench.lastError(), wanted);
    });
  }

  test("broken JSON, no config.json, no bundle, a bad id, unknown flags and commands", () => {
    writeFileSync(join(bench.path, "config.json"), "{");
    assert.equal(bench.runc(["run", bench.newId()]).status, 1);
    assert.match(bench.lastError(), /^runc run failed: config\.json is not valid JSON: /);
    rmSync(join(bench.path, "config.json"));
    bench.runc(["run", bench.newId()]);
    assert.equal(bench.lastError(), "runc run failed: JSON specification file config.json not found");
    bench.runc(["run", "-b", "/nonexist", bench.newId()]);
    assert.equal(bench.lastError(), "runc run failed: chdir /nonexist: no such file or directory");
    bench.configure(["true"]);
    bench.runc(["run", "a/b"]);
    assert.equal(bench.lastError(), "runc run failed: invalid container ID format");
    assert.equal(bench.runc(["run", "--nope", "x"]).status, 1);
    assert.equal(bench.lastError(), "flag provided but not defined: -nope");
    assert.equal(bench.runc(["frobnicate"]).status, 3);
    assert.equal(bench.runc(["start"]).status, 1);
    assert.equal(bench.lastError(), 'runc: "start" requires exactly 1 argument(s)');
  });

  test("a cgroup in which another container lives, which goes on untouched", () => {
    const bend: Bend = (config) => (config.linux.cgroupsPath = `/${bench.tag}-shared`);
    const id = bench.start(["sleep", "60"], bend);
    assert.equal(bench.run(["true"], bend).status, 1);
    assert.match(bench.lastError(), /container's cgroup is not empty: 1 process\(es\) found/);
    assert.equal(bench.status(id), "running");
    bench.runc(["delete", "--force", id]);
  });

  test("exec of what is not there", both, () => {
    const id = bench.start(["sleep", "60"]);
    for (const [program, words] of [
      ["nope", 'exec: "nope": executable file not found in $PATH'],
      ["/nope", 'exec: "/nope": stat /nope: no such file or directory'],
      ["/etc", 'exec: "/etc": permission denied'],
    ]) {
      assert.equal(bench.runc(["exec", id, program!]).status, 255);
      assert.equal(bench.lastError(), `exec failed: unable to start container process: ${words}`);
    }
    bench.runc(["delete", "--force", id]);
  });
});

describe("known attacks", () => {
  test("an image whose /dev is a link to the host's root gets its devices inside its own root", () => {
    rmSync(join(bench.rootfs, "dev"), { recursive: true });
    symlinkSync("../../../../../../..", join(bench.rootfs, "dev"));
    try {
      const before = statSync("/").mtimeMs;
      const result = bench.run(["ls", "/"], (config) => {
        config.mounts = config.mounts.filter((mount: Config) => !mount.destination.startsWith("/dev"));
        config.linux.maskedPaths = [];
      });
      assert.match(result.stdout, /^null$/m);
      assert.equal(existsSync("/null"), false);
      assert.equal(statSync("/").mtimeMs, before);
    } finally {
      rmSync(join(bench.rootfs, "dev"));
      mkdirSync(join(bench.rootfs, "dev"));
      for (const name of [
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "stdin",
        "stdout",
        "stderr",
        "fd",
      ]) {
        rmSync(join(bench.rootfs, name), { force: true });
      }
    }
  });

  test("an image whose /proc is a link is refused", () => {
    rmSync(join(bench.rootfs, "proc"), { recursive: true });
    symlinkSync("/tmp", join(bench.rootfs, "proc"));
    try {
      assert.equal(bench.run(["true"]).status, 1);
      assert.match(bench.lastError(), /\/proc must be mounted on ordinary directory/);
    } finally {
      rmSync(join(bench.rootfs, "proc"));
      mkdirSync(join(bench.rootfs, "proc"));
    }
  });

  test("a mount target that leads out through links stays inside", () => {
    symlinkSync("../../../../../../../etc", join(bench.rootfs, "escape"));
    const result = bench.run(["cat", "/etc/marker"], (config) => {
      const source = join(bench.path, "config.json");
      config.mounts.push({ destination: "/escape/marker", type: "bind", source, options: ["bind", "ro"] });
    });
    assert.match(result.stdout, /ociVersion/);
    assert.equal(existsSync("/etc/marker"), false);
    rmSync(join(bench.rootfs, "escape"));
  });
});

describe("known attacks on what the runtime mounts, executes and keeps open", () => {
  test("a file that stands where /dev/null should be masks nothing: the start is refused", () => {
    writeFileSync(join(bench.rootfs, "dev/null"), "evil");
    const bend = (config: Config) => {
      config.mounts = config.mounts.filter((mount: Config) => !mount.destination.startsWith("/dev"));
      config.mounts.push({ destination: "/dev", type: "bind", source: join(bench.rootfs, "dev"), options: ["rbind"] });
    };
    assert.equal(bench.run(["cat", "/proc/keys"], bend).status, 1);
    assert.match(bench.lastError(), /is not the null device/);
    rmSync(join(bench.rootfs, "dev/null"));
  });

  test("a mount over part of /proc is refused", () => {
    const bend = (config: Config) =>
      config.mounts.push({ destination: "/proc/self/attr", type: "tmpfs", source: "tmpfs", options: [] });
    assert.equal(bench.run(["true"], bend).status, 1);
    assert.match(bench.lastError(), /cannot be mounted because it is inside \/proc/);
  });

  test("a script whose interpreter is /proc/self/exe cannot write to the runtime", async () => {
    const before = readFileSync(OURS).length;
    writeFileSync(join(bench.rootfs, "bin/evil"), "#!/proc/self/exe --version\n", { mode: 0o755 });
    const loop =
      "while true; do for p in /proc/[0-9]*; do echo x 2>/dev/null >$p/exe; done; done & " +
      "for i in 1 2 3; do /bin/evil; done";
    const id = bench.start(["sh", "-c", `${loop}; sleep 60`]);
    for (let round = 0; round < 5; round++) bench.runc(["exec", id, "/bin/evil"]);
    await sleep(200);
    bench.runc(["delete", "--force", id]);
    assert.equal(readFileSync(OURS).length, before);
    const direct = bench.run(["/proc/self/exe", "--version"]);
    assert.ok(direct.status !== null);
  });

  test("no descriptor of the runtime or of its caller reaches the program", () => {
    const result = bench.run(["sh", "-c", "ls /proc/self/fd | wc -l; ls /proc/1/fd"]);
    assert.match(result.stdout, /^4\n0\n1\n2\n/);
  });

  test("no descriptor of the runtime serves as a way out through the working directory", () => {
    for (let fd = 3; fd < 16; fd++) {
      const result = bench.run(["sh", "-c", "ls -di / ../../../../../../../.."], (config) => {
        config.process.cwd = `/proc/self/fd/${fd}`;
      });
      const inodes = new Set(
        result.stdout
          .trim()
          .split("\n")
          .map((line) => line.trim().split(" ")[0]),
      );
      if (result.status === 0) assert.equal(inodes.size, 1, `descriptor ${fd}: ${result.stdout}`);
    }
  });
});

test("a runc killed at any moment leaves what delete --force cleans", async () => {
  for (let round = 0; round < 40; round++) {
    bench.configure(["sleep", "60"]);
    const id = bench.newId();
    const line = ["--root", bench.rootOf(OURS), round % 2 === 0 ? "create" : "run", id];
    const child = spawn(OURS, line, { cwd: bench.path, stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await sleep(round / 3);
    child.kill("SIGKILL");
    await ended;
    assert.equal(bench.runc(["delete", "--force", id]).status, 0, `round ${round}: ${bench.leftovers().join("; ")}`);
  }
  await sleep(100);
  assert.deepEqual(bench.leftovers(), []);
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
