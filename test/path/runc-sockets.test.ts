// What runc hands over and takes through sockets and descriptors: readiness (NOTIFY_SOCKET), descriptors of the caller
// (LISTEN_FDS, --preserve-fds), a pidfd, a terminal's master.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, OURS, RuntimeBench } from "../bundle.ts";
import { buildProbe } from "../probe/build.ts";

const bench = new RuntimeBench();
const probe = join(bench.rootfs, "bin/probe");
const host = join(bench.path, "host.sock");
const output = join(bench.path, "host.out");
let manager: ChildProcess;
before(async () => {
  await buildProbe(probe);
  const file = openSync(output, "a");
  manager = spawn(probe, ["watch", host], { stdio: ["ignore", file, "inherit"] });
  closeSync(file);
  while (!existsSync(host)) await sleep(10);
});
after(() => {
  manager.kill();
  bench[Symbol.dispose]();
});

const told = (): string[] =>
  readFileSync(output, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const line = (...args: string[]) => [
  "--root",
  bench.rootOf(OURS),
  "--log",
  bench.logOf(OURS),
  "--log-format",
  "json",
  ...args,
];
const env = { ...process.env, NOTIFY_SOCKET: host };

async function until(done: () => boolean): Promise<void> {
  for (let round = 0; !done() && round < 500; round++) await sleep(10);
}

describe("NOTIFY_SOCKET", () => {
  const script =
    'echo $NOTIFY_SOCKET; stat -c %a $NOTIFY_SOCKET; touch /run/notify/x; probe send $NOTIFY_SOCKET "$WORDS"';
  const saying = (words: string, then: string) => (config: Config) => {
    config.process.env.push(`WORDS=${words}`);
    config.process.args = ["sh", "-c", `${script}; ${then}`];
  };

  test("in the foreground is told when the program is ready, and to go on watching runc", () => {
    truncateSync(output);
    bench.configure([], saying("STATUS=soon\nREADY=1", "exit 3"));
    const result = spawnSync(OURS, line("run", bench.newId()), { cwd: bench.path, env, encoding: "utf8" });
    assert.equal(result.status, 3, result.stderr);
    assert.equal(result.stdout, "/run/notify/notify.sock\n777\n");
    assert.match(result.stderr, /touch: \/run\/notify\/x: Read-only file system/);
    assert.deepEqual(told(), ["READY=1\n", `MAINPID=${result.pid}\n`, "BARRIER=1"]);
  });

  test("does not keep a container that is never ready", () => {
    truncateSync(output);
    bench.configure([], saying("STATUS=soon", "exit 4"));
    assert.equal(spawnSync(OURS, line("run", bench.newId()), { cwd: bench.path, env }).status, 4);
    assert.deepEqual(told(), []);
  });

  test("is waited for by run --detach, and told the program's pid", () => {
    truncateSync(output);
    bench.configure([], saying("READY=1", "sleep 60"));
    const id = bench.newId();
    const files = { cwd: bench.path, env, stdio: "ignore" } as const;
    assert.equal(spawnSync(OURS, line("run", "--detach", id), files).status, 0, bench.lastError());
    const { pid } = JSON.parse(bench.runc(["state", id]).stdout);
    assert.deepEqual(told(), ["READY=1\n", `MAINPID=${pid}\n`, "BARRIER=1"]);
    assert.equal(bench.runc(["delete", "--force", id]).status, 0);
  });

  test("is waited for by start, until the program is ready or gone", async () => {
    for (const [words, then, lines] of [
      ["READY=1", "sleep 60", 3],
      ["STATUS=soon", "exit 1", 0],
    ] as const) {
      truncateSync(output);
      bench.configure([], saying(words, then));
      const id = bench.newId();
      const files = { cwd: bench.path, env, stdio: "ignore" } as const;
      assert.equal(spawnSync(OURS, line("create", id), files).status, 0, bench.lastError());
      assert.equal(spawnSync(OURS, line("start", id), { env, stdio: "ignore" }).status, 0, bench.lastError());
      await until(() => told().length === lines);
      assert.equal(told().length, lines);
      assert.equal(bench.runc(["delete", "--force", id]).status, 0);
    }
  });

  test("where nobody listens does no harm to a container in the foreground", () => {
    bench.configure([], saying("READY=1", "exit 5"));
    const gone = { ...env, NOTIFY_SOCKET: "@nobody-there" };
    assert.equal(spawnSync(OURS, line("run", bench.newId()), { cwd: bench.path, env: gone }).status, 5);
  });
});

describe("descriptors of the caller", () => {
  const look = ["sh", "-c", "ls /proc/self/fd; env | grep LISTEN; cat <&3"];
  const shell = (script: string) => spawnSync("sh", ["-c", script], { cwd: bench.path, encoding: "utf8" });
  const run = () => `${OURS} ${line("run", bench.newId()).join(" ")}`;

  test("that LISTEN_FDS counts go to the program as its own, with their names", () => {
    bench.configure(look);
    const { stdout, stderr } = shell(`exec 3<config.json; LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http ${run()}`);
    assert.match(stdout, /^0\n1\n2\n3\n/, stderr);
    assert.match(stdout, /LISTEN_FDS=1\n/);
    assert.match(stdout, /LISTEN_PID=1\n/);
    assert.match(stdout, /LISTEN_FDNAMES=http\n/);
    assert.match(stdout, /ociVersion/);
  });

  test("that --preserve-fds counts come after those, and others stay with the caller", () => {
    bench.configure(["sh", "-c", "ls /proc/self/fd; cat <&4"]);
    const files = "exec 3</dev/null 4<config.json 5</dev/null 6</dev/null";
    const { stdout } = shell(
      `${files}; LISTEN_FDS=1 ${run()} --preserve-fds 1`.replace(/(run) (\S+) (.*)$/, "$1 $3 $2"),
    );
    assert.match(stdout, /^0\n1\n2\n3\n4\n5?\n?/);
    assert.doesNotMatch(stdout, /^6$/m);
    assert.match(stdout, /ociVersion/);
  });

  test("that are not there are refused", () => {
    bench.configure(["true"]);
    shell(`${run()}`.replace(" run ", " run --preserve-fds 5 "));
    assert.match(bench.lastError(), /preserved-fd 3/);
  });
});

test("--pidfd-socket hands over a pidfd of the process, for run, create and exec", async () => {
  const path = join(bench.path, "pidfd.sock");
  const seen = join(bench.path, "pidfd.out");
  const file = openSync(seen, "a");
  const child = spawn(probe, ["pidfd", path], { stdio: ["ignore", file, "inherit"] });
  closeSync(file);
  await until(() => existsSync(path));
  const pids = () => readFileSync(seen, "utf8").split("\n").filter(Boolean).map(Number);
  bench.configure(["sleep", "60"]);
  const id = bench.newId();
  assert.equal(bench.runc(["run", "--detach", "--pidfd-socket", path, id]).status, 0, bench.lastError());
  const { pid } = JSON.parse(bench.runc(["state", id]).stdout);
  await until(() => pids().length === 1);
  assert.deepEqual(pids(), [pid]);
  const pidFile = join(bench.path, "exec.pid");
  bench.runc(["exec", "--detach", "--pidfd-socket", path, "--pid-file", pidFile, id, "sleep", "60"]);
  await until(() => pids().length === 2);
  assert.deepEqual(pids(), [pid, Number(readFileSync(pidFile, "utf8"))]);
  const other = bench.newId();
  assert.equal(bench.runc(["create", "--pidfd-socket", path, other]).status, 0);
  await until(() => pids().length === 3);
  assert.equal(pids()[2], JSON.parse(bench.runc(["state", other]).stdout).pid);
  child.kill();
  for (const one of [id, other]) bench.runc(["delete", "--force", one]);
  bench.runc(["run", "--pidfd-socket", join(bench.path, "nobody"), bench.newId()]);
  assert.match(bench.lastError(), /nobody: no such file or directory/);
});

test("--console-socket hands over the master under its name, and is refused where it makes no sense", async () => {
  const path = join(bench.path, "console.sock");
  const seen = join(bench.path, "console.out");
  const file = openSync(seen, "a");
  const child = spawn(probe, ["console", path], { stdio: ["ignore", file, "inherit"] });
  closeSync(file);
  await until(() => existsSync(path));
  bench.configure(["sh", "-c", "echo from inside; tty; stty size; sleep 60"], (config: Config) => {
    config.process.terminal = true;
    config.process.consoleSize = { height: 10, width: 110 };
  });
  const id = bench.newId();
  assert.equal(bench.runc(["run", "--detach", "--console-socket", path, id]).status, 0, bench.lastError());
  await until(() => readFileSync(seen, "utf8").includes("110"));
  assert.match(readFileSync(seen, "utf8"), /^"\/dev\/ptmx"\nfrom inside\r?\n\/dev\/pts\/0\r?\n10 110/);
  child.kill();
  bench.runc(["delete", "--force", id]);
  bench.runc(["run", "--detach", bench.newId()]);
  assert.match(bench.lastError(), /cannot allocate tty if runc will detach without setting console socket/);
  bench.configure(["true"]);
  bench.runc(["run", "--detach", "--console-socket", path, bench.newId()]);
  assert.match(bench.lastError(), /cannot use console socket if runc will not detach or allocate tty/);
});

test("after all of this nothing is left", () => {
  assert.deepEqual(bench.leftovers(), []);
  assert.deepEqual(
    readdirSync(bench.rootOf(OURS)).filter((name) => !name.startsWith(".seccomp")),
    [],
  );
});
