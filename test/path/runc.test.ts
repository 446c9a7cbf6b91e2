// runc from config.json to a process and back to nothing: what the program sees, the commands, their words and codes.
// Where the original is installed, the same bundle is given to it and the answers are compared.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

describe("the program of a container", () => {
  test("gives runc its exit code, or 128 and the signal that ended it", () => {
    assert.equal(bench.run(["sh", "-c", "exit 7"]).status, 7);
    // The first process of a pid namespace cannot be killed from inside it.
    const shared = (config: Config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "pid");
    };
    assert.equal(bench.run(["sh", "-c", "kill -9 $$"], shared).status, 137);
  });

  test("gets environment, working directory, umask, user and groups from config.json", () => {
    const script = 'echo "$A $HOME"; pwd; umask; id -u; id -g; id -G';
    const result = bench.run(["sh", "-c", script], (config: Config) => {
      config.process.env.push("A=b c");
      config.process.cwd = "/made/for/it";
      config.process.user = { uid: 1000, gid: 1001, additionalGids: [5, 4294967294], umask: 0o77 };
    });
    assert.equal(result.stdout, "b c /\n/made/for/it\n0077\n1000\n1001\n1001 5 4294967294\n");
  });

  test("reads its standard input from runc's", () => {
    bench.configure(["cat"]);
    assert.equal(bench.runc(["run", bench.newId()], undefined, "hello").stdout, "hello");
  });

  test("has a terminal of the size of runc's own", async () => {
    bench.configure(["sh", "-c", "tty; stty size; test -c /dev/console && echo console; exit 3"], (config: Config) => {
      config.process.terminal = true;
    });
    const line = `stty rows 33 cols 77; ${OURS} --root ${bench.rootOf(OURS)} run ${bench.newId()}`;
    // Its input stays open: script sends an end of file on, which would come in between.
    const child = spawn("script", ["-qefc", line, "/dev/null"], { cwd: bench.path });
    let output = "";
    child.stdout.on("data", (part) => (output += part));
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.match(output, /\/dev\/pts\/0\r*\n33 77\r*\nconsole/);
    assert.equal(code, 3);
  });
});

describe("the program of a container finds the same as under the original", both, () => {
  const scripts: readonly (readonly [what: string, script: string])[] = [
    ["capabilities and no_new_privs", "grep -E 'Cap|NoNew|Groups' /proc/self/status"],
    ["devices", "ls -la /dev | sed -E 's/ +/ /g; s/[0-9]+:[0-9]+//' | cut -d' ' -f1-4,9- | grep -v ' \\.\\.?$'"],
    [
      "mounts",
      "cut -d' ' -f4- /proc/self/mountinfo | grep -v ^/process_api | grep -v 'tmpfs ro' | " +
        "sed -E 's#/[a-zA-Z0-9]+-[0-9]+ /sys#/ID /sys#'",
    ],
    ["limits", "cat /proc/self/limits"],
    ["cgroups", "sed -E 's#-[0-9]+$##' /proc/self/cgroup"],
    ["interfaces", "ip -o link | cut -d' ' -f2,3"],
    ["environment", "env"],
    ["masked paths", "cat /proc/keys /proc/timer_list; ls /proc/acpi /sys/firmware"],
    ["read-only paths", "echo 1 >/proc/sys/kernel/sysrq; touch /sys/x"],
  ];
  for (const [what, script] of scripts) {
    test(what, () => {
      const ours = bench.run(["sh", "-c", `(${script}) 2>&1`]);
      const theirs = bench.run(["sh", "-c", `(${script}) 2>&1`], undefined, ORIGINAL);
      assert.equal(ours.stdout, theirs.stdout);
      assert.notEqual(ours.stdout, "");
    });
  }

  test("capabilities kept as another user because they are ambient", () => {
    const bend = (config: Config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      const { capabilities } = config.process;
      capabilities.inheritable = capabilities.ambient = capabilities.bounding;
    };
    const args = ["grep", "Cap", "/proc/self/status"];
    assert.equal(bench.run(args, bend).stdout, bench.run(args, bend, ORIGINAL).stdout);
  });
});

describe("isolation", () => {
  test("starts with the filter of linux.seccomp, compiled once and kept", () => {
    const bend = (config: Config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        syscalls: [
          { names: ["unshare", "mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 18 },
          {
            names: ["personality"],
            action: "SCMP_ACT_ERRNO",
            args: [{ index: 0, value: 4294967295, op: "SCMP_CMP_NE" }],
          },
        ],
      };
    };
    for (const noNewPrivileges of [true, false]) {
      const result = bench.run(["sh", "-c", "grep Seccomp: /proc/self/status; mkdir /x; unshare -m true"], (config) => {
        bend(config);
        config.process.noNewPrivileges = noNewPrivileges;
      });
      assert.match(result.stdout, /Seccomp:\t2/);
      assert.match(result.stderr, /mkdir: .*Invalid cross-device link/);
      assert.match(result.stderr, /unshare: .*Invalid cross-device link/);
    }
  });

  test("has a user namespace with its mappings", () => {
    const result = bench.run(["sh", "-c", "cat /proc/self/uid_map; id -u; ls -n /dev/null"], (config: Config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    });
    assert.match(result.stdout, /^\s+0\s+100000\s+65536\n0\ncrw-rw-rw-/);
  });

  test("has its own clock with a time namespace", () => {
    const result = bench.run(["cat", "/proc/uptime"], (config: Config) => {
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = { boottime: { secs: 5_000_000 } };
    });
    assert.ok(Number(result.stdout.split(".")[0]) >= 5_000_000, result.stdout);
  });

  test("sees only its own cgroup with a cgroup namespace", () => {
    const result = bench.run(["cat", "/proc/self/cgroup"], (config: Config) => {
      config.linux.namespaces.push({ type: "cgroup" });
    });
    assert.deepEqual(
      [
        ...new Set(
          result.stdout
            .trim()
            .split("\n")
            .map((line) => line.replace(/.*:/, "")),
        ),
      ],
      ["/"],
    );
  });

  test("joins namespaces by path", () => {
    const id = bench.start(["sleep", "60"]);
    const { pid } = JSON.parse(bench.runc(["state", id]).stdout);
    const result = bench.run(
      ["sh", "-c", "ps | grep -c '[s]leep 60'; readlink /proc/self/ns/net"],
      (config: Config) => {
        config.hostname = "";
        for (const namespace of config.linux.namespaces) {
          if (["pid", "network", "uts"].includes(namespace.type)) {
            namespace.path = `/proc/${pid}/ns/${namespace.type === "network" ? "net" : namespace.type}`;
          }
        }
      },
    );
    const net = bench.runc(["exec", id, "readlink", "/proc/self/ns/net"]).stdout;
    assert.equal(result.stdout, `1\n${net}`);
    bench.runc(["delete", "--force", id]);
  });
});

describe("the life of a container", () => {
  test("goes from created over running to stopped, and each command knows where it is", async () => {
    bench.configure(["sleep", "60"]);
    const id = bench.newId();
    assert.equal(bench.runc(["create", "--pid-file", join(bench.path, "pid"), id]).status, 0);
    assert.equal(bench.status(id), "created");
    assert.equal(
      readFileSync(join(bench.path, "pid"), "utf8"),
      String(JSON.parse(bench.runc(["state", id]).stdout).pid),
    );
    assert.equal(bench.runc(["create", id]).status, 1);
    assert.equal(bench.lastError(), "runc create failed: container with given ID already exists");
    assert.equal(bench.runc(["start", id]).status, 0);
    assert.equal(bench.status(id), "running");
    assert.equal(bench.runc(["start", id]).status, 1);
    assert.equal(bench.lastError(), "cannot start an already running container");
    assert.equal(bench.runc(["delete", id]).status, 1);
    assert.equal(bench.lastError(), `cannot delete container ${id} that is not stopped: running`);
    assert.equal(bench.runc(["pause", id]).status, 0);
    assert.equal(bench.status(id), "paused");
    assert.equal(bench.runc(["exec", id, "true"]).status, 255);
    assert.match(bench.lastError(), /cannot exec in a paused container/);
    assert.equal(bench.runc(["resume", id]).status, 0);
    assert.equal(bench.runc(["kill", id, "KILL"]).status, 0);
    await sleep(100);
    assert.equal(bench.status(id), "stopped");
    assert.equal(bench.runc(["kill", id]).status, 1);
    assert.equal(bench.lastError(), "container not running");
    assert.equal(bench.runc(["delete", id]).status, 0);
    assert.equal(bench.runc(["state", id]).status, 1);
    assert.equal(bench.lastError(), "container does not exist");
    assert.equal(bench.runc(["delete", "--force", id]).status, 0);
  });

  test("is listed, also by the original from the same directory", both, () => {
    const id = bench.start(["sleep", "60"]);
    const table = bench.runc(["list"]).stdout;
    assert.match(table, new RegExp(`${id} +\\d+ +running +${bench.path} +\\S+Z +root\n`));
    const theirs = (...line: string[]) =>
      spawnSync(ORIGINAL, ["--root", bench.rootOf(OURS), ...line], { encoding: "utf8" });
    assert.equal(theirs("list").stdout, table);
    assert.equal(JSON.parse(theirs("state", id).stdout).pid, JSON.parse(bench.runc(["state", id]).stdout).pid);
    assert.equal(bench.runc(["list", "-q"]).stdout.includes(id), true);
    bench.runc(["delete", "--force", id]);
  });
});

describe("a container that runs", () => {
  test("takes new limits while it runs, and tells what it uses", () => {
    const id = bench.start(["sleep", "60"]);
    assert.equal(bench.runc(["update", "--memory", "64M", "--pids-limit", "33", id]).status, 0);
    const stats = JSON.parse(bench.runc(["events", "--stats", id]).stdout);
    assert.equal(stats.data.memory.usage.limit, 64 << 20);
    assert.equal(stats.data.pids.limit, 33);
    assert.equal(bench.runc(["update", "--memory", "lots", id]).status, 1);
    assert.equal(bench.lastError(), "invalid value for memory: invalid size: 'lots'");
    bench.runc(["delete", "--force", id]);
  });

  test("hands on the descriptors that its caller names, and no other", () => {
    bench.configure(["sh", "-c", "cat <&3; ls /proc/self/fd | wc -l; echo $LISTEN_FDS $LISTEN_PID"]);
    const log = join(bench.path, "config.json");
    const line = `exec 3<${log} 4<${log}; LISTEN_FDS=1 ${OURS} --root ${bench.rootOf(OURS)} run ${bench.newId()}`;
    const result = spawnSync("bash", ["-c", line], { cwd: bench.path, encoding: "utf8" });
    assert.match(result.stdout, /ociVersion.*\n?5\n1 1\n$/s);
    bench.runc(["run", "--preserve-fds", "5", bench.newId()]);
    assert.match(bench.lastError(), /please check that preserved-fd 3 exists/);
  });

  test("can be paused while it is deleted by force", () => {
    const id = bench.start(["sleep", "60"]);
    bench.runc(["pause", id]);
    assert.equal(bench.runc(["delete", "--force", id]).status, 0);
  });

  test("runs its hooks in order with its state on their input", () => {
    const log = join(bench.path, "hooks");
    const id = bench.newId();
    bench.configure(["true"], (config: Config) => {
      const hook = (name: string) => [{ path: "/bin/sh", args: ["sh", "-c", `echo ${name} $(cat) >> ${log}`] }];
      config.hooks = Object.fromEntries(
        ["prestart", "createRuntime", "createContainer", "poststart", "poststop"].map((name) => [name, hook(name)]),
      );
    });
    assert.equal(bench.runc(["run", id]).status, 0);
    const lines = readFileSync(log, "utf8").trim().split("\n");
    const seen = lines.map((line) => [line.split(" ")[0], /"?status"?:"?(\w+)/.exec(line)?.[1]]);
    assert.deepEqual(seen, [
      ["prestart", "creating"],
      ["createRuntime", "creating"],
      ["createContainer", "creating"],
      ["poststart", "running"],
      ["poststop", "stopped"],
    ]);
  });
});

describe("exec", () => {
  test("adds a process with its own environment, user, directory and exit code", () => {
    const id = bench.start(["sleep", "60"]);
    const line = [
      "exec",
      "-e",
      "A=b",
      "--cwd",
      "/tmp",
      "-u",
      "5:6",
      id,
      "sh",
      "-c",
      "echo $A; pwd; id -u; id -g; exit 4",
    ];
    const result = bench.runc(line);
    assert.deepEqual([result.status, result.stdout], [4, "b\n/tmp\n5\n6\n"]);
    assert.match(bench.runc(["exec", id, "ps"]).stdout, /1 0 +(0:00 )?sleep 60/);
    bench.runc(["delete", "--force", id]);
  });

  test("carries the container's filter and capabilities", () => {
    const id = bench.start(["sleep", "60"], (config: Config) => {
      const syscalls = [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }];
      config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
    });
    const result = bench.runc(["exec", id, "grep", "-E", "Seccomp:|CapBnd|NoNew", "/proc/self/status"]);
    assert.equal(result.stdout, "CapBnd:\t0000000020000420\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    bench.runc(["delete", "--force", id]);
  });

  test("takes a process.json, and says what is wrong with a bad one", () => {
    const id = bench.start(["sleep", "60"]);
    const file = join(bench.path, "process.json");
    writeFileSync(
      file,
      JSON.stringify({ args: ["echo", "hi"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } }),
    );
    assert.equal(bench.runc(["exec", "--process", file, id]).stdout, "hi\n");
    writeFileSync(file, JSON.stringify({ args: ["echo"], cwd: "/", user: { uid: "root" } }));
    assert.equal(bench.runc(["exec", "--process", file, id]).status, 255);
    assert.match(bench.lastError(), /process\.user\.uid must be an integer from 0 to 4294967295, not the text "root"/);
    bench.runc(["delete", "--force", id]);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
