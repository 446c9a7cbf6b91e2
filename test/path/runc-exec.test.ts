// `runc exec` with all its flags, `kill`, `ps`, `list`, `pause` and hooks, beside the original where it knows them.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
const skip = existsSync(ORIGINAL) ? false : "the original runc is not installed";
const ids = new Map<string, string>();
const runtimes = skip ? [OURS] : [OURS, ORIGINAL];

before(() => {
  for (const runtime of runtimes) {
    bench.configure(["sleep", "600"], (config: Config) => {
      config.process.env.push("FROM=config");
      config.process.user.additionalGids = [7];
      config.process.noNewPrivileges = false;
    });
    ids.set(runtime, bench.newId());
    assert.equal(bench.runc(["run", "--detach", ids.get(runtime)!], runtime).status, 0);
  }
});
after(() => {
  for (const [runtime, id] of ids) bench.runc(["delete", "--force", id], runtime);
  bench[Symbol.dispose]();
});

function exec(runtime: string, flags: readonly string[], command: readonly string[]): object {
  const { status, stdout, stderr } = bench.runc(["exec", ...flags, ids.get(runtime)!, ...command], runtime);
  return { status, stdout, stderr: stderr.replaceAll(ids.get(runtime)!, "ID") };
}

const WHO =
  "id; pwd; umask; echo $FROM $A $B; grep -E 'Cap|NoNew|Groups|Seccomp:' /proc/self/status; ls /proc/self/fd | wc -l";

describe("exec does what the original does", { skip }, () => {
  const lines: readonly (readonly [what: string, flags: readonly string[], command?: readonly string[]])[] = [
    ["plainly", []],
    ["with an environment", ["-e", "A=1", "-e", "B=2 3", "-e", "FROM=flag"]],
    ["with a directory", ["--cwd", "/tmp"]],
    ["with a directory that is not there", ["--cwd", "/nope"]],
    ["with a relative directory", ["--cwd", "tmp"]],
    ["as another user", ["--user", "1000"]],
    ["as another user and group", ["-u", "1000:1001"]],
    ["with more groups", ["-g", "5", "-g", "6"]],
    ["with another capability", ["-c", "CAP_NET_RAW", "-c", "CAP_CHOWN"]],
    ["with another capability as a user", ["-c", "CAP_NET_RAW", "-u", "1000"]],
    ["with a capability that is none", ["-c", "CAP_NOPE"]],
    ["without new rights", ["--no-new-privs"]],
    ["with new rights", ["--no-new-privs=false"]],
    ["in the container's own cgroup", ["--cgroup", "/"]],
    ["with a SELinux label", ["--process-label", "label"], ["true"]],
    ["of a program that fails", [], ["sh", "-c", "exit 42"]],
    ["of a program that is killed", [], ["sh", "-c", "kill -9 $$"]],
    ["of nothing", [], []],
    ["with a console socket but no terminal", ["--console-socket", "/nope"], ["true"]],
    ["detached with a terminal but no socket", ["-d", "-t"], ["true"]],
  ];
  for (const [what, flags, command = ["sh", "-c", WHO]] of lines) {
    test(what, () => {
      const [ours, theirs] = [exec(OURS, flags, command), exec(ORIGINAL, flags, command)];
      assert.deepEqual(ours, theirs);
    });
  }
});

for (const [what, flags, wanted] of [
  ["a user that is no number", ["-u", "nobody"], /parsing "nobody": invalid syntax$/],
  ["a user that is too large", ["-u", "4294967296"], /value out of range$/],
  ["a cgroup that is not there", ["--cgroup", "nope"], / adding pid .*\/nope\/.*: no such file or directory$/],
  ["a cgroup that leads out", ["--cgroup", "../nope"], /bad sub cgroup path: \.\.\/nope$/],
  ["a controller's cgroup that is not there", ["--cgroup", "cpu:nope"], / adding pid .*: no such file or directory$/],
  ["a controller that is none", ["--cgroup", "nope:/"], /unknown controller nope in SubCgroupPaths$/],
  ["no controller", ["--cgroup", ":/"], /invalid --cgroup argument: :\/ \(empty <controller> prefix\)$/],
  ["a controller twice", ["--cgroup", "cpu:/", "--cgroup", "cpu:/"], /controller cpu specified multiple times$/],
  ["two cgroups of all", ["--cgroup", "/", "--cgroup", "/"], /\(missing <controller>: prefix\)$/],
] as const) {
  test(`exec refuses ${what}`, () => {
    assert.equal(bench.runc(["exec", ...flags, ids.get(OURS)!, "true"]).status, 255);
    assert.match(bench.lastError(), wanted);
  });
}

test("exec puts the process into cgroups below the container's, one or several", { skip }, () => {
  const id = ids.get(OURS)!;
  const { cgroup_paths: paths } = JSON.parse(readFileSync(join(bench.rootOf(OURS), id, "state.json"), "utf8"));
  const made = ["cpu", "memory", "pids"].filter((name) => name in paths).map((name) => `${paths[name]}/below`);
  for (const path of made) mkdirSync(path);
  const where = ["sh", "-c", "cat /proc/self/cgroup"];
  const one = bench.runc(["exec", "--cgroup", "cpu,pids:below", id, ...where]).stdout;
  assert.match(one, /:cpu:.*\/below$/m);
  assert.match(one, /:pids:.*\/below$/m);
  assert.doesNotMatch(one, /:memory:.*\/below$/m);
  for (const path of made) rmdirSync(path);
});

test("exec in a paused container is refused unless that is ignored", { skip }, async () => {
  const id = bench.start(["sleep", "60"]);
  bench.runc(["pause", id]);
  assert.equal(bench.runc(["exec", id, "true"]).status, 255);
  assert.match(bench.lastError(), /cannot exec in a paused container \(use --ignore-paused to override\)/);
  // It joins what is frozen, and goes on with that.
  const child = spawn(OURS, ["--root", bench.rootOf(OURS), "exec", "--ignore-paused", id, "true"]);
  const ended = new Promise((resolve) => child.once("close", resolve));
  await sleep(300);
  assert.equal(child.exitCode, null);
  bench.runc(["resume", id]);
  assert.equal(await ended, 0);
  bench.runc(["delete", "--force", id]);
});

test("exec with an AppArmor profile says what a kernel without it says", { skip }, () => {
  const apparmor = existsSync("/sys/kernel/security/apparmor");
  const [ours, theirs] = [OURS, ORIGINAL].map((runtime) => exec(runtime, ["--apparmor", "profile"], ["true"]));
  if (!apparmor) assert.deepEqual(ours, theirs);
});

describe("kill", () => {
  const script = "trap 'echo usr1 >>/tmp/got' USR1; echo up >/tmp/got; while :; do sleep 0.1; done";
  const got = join(bench.rootfs, "tmp/got");
  for (const [word, line] of [
    ["USR1", "usr1"],
    ["SIGUSR1", "usr1"],
    ["sigusr1", "usr1"],
    ["10", "usr1"],
  ] as const) {
    test(`takes a signal as ${word}`, () => {
      rmSync(got, { force: true });
      const id = bench.start(["sh", "-c", script]);
      while (!existsSync(got) || readFileSync(got, "utf8") === "");
      assert.equal(bench.runc(["kill", id, word]).status, 0, bench.lastError());
      const until = Date.now() + 30_000;
      while (!readFileSync(got, "utf8").includes(line) && Date.now() < until);
      assert.equal(readFileSync(got, "utf8"), `up\n${line}\n`);
      bench.runc(["delete", "--force", id]);
    });
  }

  test("takes real-time signals by name and number", () => {
    for (const word of ["RTMIN+3", "SIGRTMAX-1", "37"]) {
      const id = bench.start(["sh", "-c", "sleep 60 & wait"], (config: Config) => {
        config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "pid");
      });
      assert.equal(bench.runc(["kill", id, word]).status, 0, bench.lastError());
      const until = Date.now() + 30_000;
      while (bench.status(id) !== "stopped" && Date.now() < until);
      assert.equal(bench.status(id), "stopped");
      bench.runc(["delete", "--force", id]);
    }
  });

  test("says what is no signal, as the original does", { skip }, () => {
    for (const word of ["NOPE", "SIGNOPE", "0"]) {
      const errors = runtimes.map((runtime) => {
        const { status } = bench.runc(["kill", ids.get(runtime)!, word], runtime);
        return [status, bench.lastError(runtime)];
      });
      assert.deepEqual(errors[0], errors[1]);
    }
  });

  test("--all reaches every process of the container", () => {
    const id = bench.start(["sh", "-c", "sleep 61 & sleep 62 & wait; sleep 63"], (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "pid");
    });
    const pids = () => JSON.parse(bench.runc(["ps", "--format", "json", id]).stdout) ?? [];
    while (pids().length < 3);
    assert.equal(bench.runc(["kill", "--all", id, "KILL"]).status, 0);
    const until = Date.now() + 30_000;
    while (pids().length > 0 && Date.now() < until);
    assert.deepEqual(pids(), []);
    bench.runc(["delete", "--force", id]);
  });
});

describe("ps and list show what the original shows", { skip }, () => {
  for (const [what, args] of [
    ["ps", []],
    ["ps of chosen columns", ["-o", "pid,comm"]],
    ["ps of another form", ["aux"]],
  ] as const) {
    test(what, () => {
      const shown = runtimes.map((runtime) => {
        const { status, stdout } = bench.runc(["ps", ids.get(runtime)!, ...args], runtime);
        return { status, titles: stdout.split("\n")[0], lines: stdout.trim().split("\n").length };
      });
      assert.deepEqual(shown[0], shown[1]);
      assert.ok(shown[0]!.lines === 2, JSON.stringify(shown));
    });
  }

  for (const args of [
    ["ps", "--format", "nope", "ID"],
    ["ps", "ID", "-o", "comm"],
    ["ps", "nope"],
    ["list", "--format", "nope"],
    ["state", "nope"],
    ["pause", "nope"],
    ["resume", "ID"],
    ["start", "ID"],
    ["delete", "ID"],
    ["events", "nope"],
  ]) {
    test(`or refuse: ${args.join(" ")}`, () => {
      const errors = runtimes.map((runtime) => {
        const { status } = bench.runc(
          args.map((word) => (word === "ID" ? ids.get(runtime)! : word)),
          runtime,
        );
        return [status, bench.lastError(runtime).replaceAll(ids.get(runtime)!, "ID")];
      });
      assert.deepEqual(errors[0], errors[1]);
    });
  }

  test("list as JSON, and by names alone", () => {
    const shown = runtimes.map((runtime) => {
      const entries = JSON.parse(bench.runc(["list", "--format", "json"], runtime).stdout);
      const entry = entries.find((one: Config) => one.id === ids.get(runtime));
      assert.equal(bench.runc(["list", "--quiet"], runtime).stdout.includes(`${ids.get(runtime)}\n`), true);
      return { ...entry, id: "", pid: 0, created: "", ociVersion: "" };
    });
    assert.deepEqual(shown[0], shown[1]);
  });
});

test("list of an empty root is that of the original; a root that is not there is an error, as the newest has it", {
  skip,
}, () => {
  const root = join(bench.path, "empty");
  mkdirSync(root);
  for (const args of [["list"], ["list", "-f", "json"], ["list", "-q"]]) {
    const list = (runtime: string, of: string) => spawnSync(runtime, ["--root", of, ...args], { encoding: "utf8" });
    const shown = runtimes.map((runtime) => list(runtime, root)).map(({ status, stdout }) => [status, stdout]);
    assert.deepEqual(shown[0], shown[1]);
    const missing = list(runtimes[0]!, join(bench.path, "none"));
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /none: no such file or directory/);
  }
});

test("exec --process takes everything from the file", { skip }, () => {
  const file = join(bench.path, "process.json");
  const all = {
    args: ["sh", "-c", WHO],
    cwd: "/tmp",
    env: ["PATH=/bin", "A=b"],
    user: { uid: 5, gid: 6, additionalGids: [8, 9] },
    noNewPrivileges: true,
    capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 100, hard: 200 }],
    oomScoreAdj: 300,
  };
  writeFileSync(file, JSON.stringify(all));
  const [ours, theirs] = runtimes.map((runtime) => exec(runtime, ["--process", file], []));
  assert.deepEqual(ours, theirs);
  writeFileSync(
    file,
    JSON.stringify({ ...all, args: ["sh", "-c", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"] }),
  );
  assert.equal(bench.runc(["exec", "-p", file, ids.get(OURS)!]).stdout, "100\n200\n300\n");
});

test("after all of this nothing is left", () => {
  for (const [runtime, id] of ids) bench.runc(["delete", "--force", id], runtime);
  ids.clear();
  assert.deepEqual(bench.leftovers(), []);
});
