// linux.seccomp from config.json to what the program may do: every action and operator, calls that no rule knows,
// listeners, flags, and the compiled programs that are kept.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";
import { buildProbe } from "../probe/build.ts";

const bench = new RuntimeBench();
const probe = join(bench.rootfs, "bin/probe");
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

type Bend = (config: Config) => void;

function withFilter(seccomp: Config, more: Bend = () => {}): Bend {
  return (config) => {
    config.linux.seccomp = { architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], ...seccomp };
    more(config);
  };
}

const KILLED = 128 + 31;

describe("an action", () => {
  const actions: readonly (readonly [action: string, errnoRet: number | null, wanted: RegExp | number])[] = [
    ["SCMP_ACT_KILL", null, KILLED],
    ["SCMP_ACT_KILL_THREAD", null, KILLED],
    ["SCMP_ACT_KILL_PROCESS", null, KILLED],
    ["SCMP_ACT_TRAP", null, KILLED],
    ["SCMP_ACT_ERRNO", null, /Operation not permitted/],
    ["SCMP_ACT_ERRNO", 18, /Invalid cross-device link/],
    ["SCMP_ACT_TRACE", null, /Function not implemented/],
    ["SCMP_ACT_TRACE", 7, /Function not implemented/],
    ["SCMP_ACT_LOG", null, 0],
    ["SCMP_ACT_ALLOW", null, 0],
  ];
  for (const [action, errnoRet, wanted] of actions) {
    test(`${action}${errnoRet === null ? "" : ` with ${errnoRet}`} does what its name says`, () => {
      const rule = { names: ["mkdir"], action, ...(errnoRet === null ? {} : { errnoRet }) };
      const result = bench.run(
        ["mkdir", "/tmp/made"],
        withFilter({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] }),
      );
      rmSync(join(bench.rootfs, "tmp/made"), { recursive: true, force: true });
      if (typeof wanted === "number") assert.equal(result.status, wanted, result.stderr);
      else assert.match(result.stderr, wanted);
    });
  }
});

describe("an operator", () => {
  // chmod's second argument is the mode.
  const operators: readonly (readonly [op: string, value: number, valueTwo: number, refused: string])[] = [
    ["SCMP_CMP_NE", 0o644, 0, "600 640 700"],
    ["SCMP_CMP_LT", 0o640, 0, "600"],
    ["SCMP_CMP_LE", 0o640, 0, "600 640"],
    ["SCMP_CMP_EQ", 0o640, 0, "640"],
    ["SCMP_CMP_GE", 0o640, 0, "640 644 700"],
    ["SCMP_CMP_GT", 0o640, 0, "644 700"],
    ["SCMP_CMP_MASKED_EQ", 0o040, 0o040, "640 644"],
  ];
  for (const [op, value, valueTwo, refused] of operators) {
    test(`${op} compares an argument`, () => {
      const args = [{ index: 1, value, valueTwo, op }];
      const syscalls = [{ names: ["chmod", "fchmodat"], action: "SCMP_ACT_ERRNO", args }];
      const script = "touch /tmp/f; for mode in 600 640 644 700; do chmod $mode /tmp/f 2>/dev/null || echo $mode; done";
      // fchmodat has the mode one place later; busybox calls chmod.
      const result = bench.run(["sh", "-c", script], withFilter({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
      assert.equal(result.stdout.trim().split("\n").join(" "), refused);
    });
  }
});

/** What the probe itself and the original need. clone3 is the newest that the profile knows. */
const OLD_PROFILE = [
  "read write open openat close close_range mmap mprotect munmap mremap brk rt_sigaction rt_sigprocmask rt_sigreturn",
  "ioctl execve exit exit_group fstat newfstatat stat statx lseek arch_prctl set_tid_address set_robust_list rseq",
  "prlimit64 getrandom sigaltstack poll fcntl futex readlink readlinkat madvise gettid getpid tgkill access",
  "sched_getaffinity capset uname clone3 prctl seccomp fstatfs statfs getdents64 epoll_create1 epoll_ctl epoll_pwait",
  "eventfd2 pipe2 nanosleep clone setuid setgid setgroups chdir fchdir getcwd getppid sched_yield",
  "faccessat kill capget",
].flatMap((line) => line.split(" "));

describe("a system call that no rule names", () => {
  const profile = { syscalls: [{ names: OLD_PROFILE, action: "SCMP_ACT_ALLOW" }] };
  const call = (number: number, defaults: Config, runtime = OURS) =>
    bench.run(["probe", "call", String(number), "-1"], withFilter({ ...profile, ...defaults }), runtime).stdout.trim();
  const ENOSYS = "-38";

  for (const [what, defaults, known, unknown] of [
    ["EPERM", { defaultAction: "SCMP_ACT_ERRNO" }, "-1", ENOSYS],
    ["another number", { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 18 }, "-18", ENOSYS],
    ["no such call", { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 38 }, ENOSYS, ENOSYS],
    ["death", { defaultAction: "SCMP_ACT_KILL_PROCESS" }, "", ENOSYS],
    ["the call itself", { defaultAction: "SCMP_ACT_LOG" }, "-9", "-9"],
  ] as const) {
    test(`gets ${what} up to the newest that is named, and "no such call" above`, both, () => {
      // pidfd_open is 434, faccessat2 439: one before and one after clone3 (435).
      const answers = (runtime: string) => [call(3, defaults, runtime), call(434, defaults, runtime)];
      assert.equal(answers(OURS)[0], "-9");
      assert.equal(call(438, defaults), unknown);
      assert.equal(call(438, defaults, ORIGINAL), unknown);
      if (known !== "-9") assert.equal(answers(OURS)[1], known);
      assert.deepEqual(answers(OURS), answers(ORIGINAL));
    });
  }
});

let agent: ChildProcess;
const path = join(bench.path, "listener.sock");
const output = join(bench.path, "listener.out");
/** What the listener was told since the last `asks`. */
const told = (): Config[] =>
  readFileSync(output, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

before(async () => {
  await buildProbe(probe);
  const file = openSync(output, "a");
  agent = spawn(probe, ["listen", path, "123"], { stdio: ["ignore", file, "inherit"] });
  closeSync(file);
  while (!existsSync(path)) await sleep(10);
});
after(() => agent.kill());

function asks(names: readonly string[], more: Config = {}, bend?: Bend): Bend {
  truncateSync(output, 0);
  const syscalls = [{ names, action: "SCMP_ACT_NOTIFY" }];
  const from = { listenerPath: path, listenerMetadata: "some words", defaultAction: "SCMP_ACT_ALLOW" };
  return withFilter({ ...from, syscalls, ...more }, bend);
}

describe("a listener", () => {
  for (const noNewPrivileges of [true, false]) {
    const bend: Bend = (config) => (config.process.noNewPrivileges = noNewPrivileges);
    const how = noNewPrivileges ? "with" : "without";

    test(`answers for the program ${how} no_new_privs, and is told whose calls they are`, () => {
      const result = bench.run(
        ["sh", "-c", "mkdir /tmp/x; grep Seccomp: /proc/self/status"],
        asks(["mkdir"], {}, bend),
      );
      assert.match(result.stderr, /No medium found/);
      assert.match(result.stdout, /Seccomp:\t2/);
      const [one] = told();
      assert.deepEqual([one.ociVersion, one.fds, one.metadata], ["1.3.0", ["seccompFd"], "some words"]);
      assert.equal(one.pid, one.state.pid);
      assert.deepEqual([one.state.status, one.state.bundle], ["creating", bench.path]);
      assert.ok(!("annotations" in one.state));
    });

    test(`may be asked about all that happens between filter and program ${how} no_new_privs`, () => {
      const names = ["execve", "openat", "open", "read", "close", "fcntl", "capset", "close_range", "rt_sigaction"];
      assert.equal(bench.run(["true"], asks(names, {}, bend)).status, 0);
      bench.configure(["true"], asks(names, {}, bend));
      const id = bench.newId();
      assert.equal(bench.runc(["create", id]).status, 0, bench.lastError());
      assert.equal(bench.runc(["start", id]).status, 0, bench.lastError());
      bench.runc(["delete", "--force", id]);
    });
  }

  test("is asked about a process of exec, too", () => {
    const id = bench.start(
      ["sleep", "60"],
      asks(["mkdir"], {}, (config) => (config.annotations = { a: "b" })),
    );
    const result = bench.runc(["exec", id, "sh", "-c", "echo $$; mkdir /tmp/x"]);
    assert.match(result.stderr, /No medium found/);
    const { pid } = JSON.parse(bench.runc(["state", id]).stdout);
    const [, one] = told();
    assert.equal(one.state.pid, pid);
    assert.notEqual(one.pid, pid);
    assert.deepEqual([one.state.status, one.state.annotations], ["running", { a: "b" }]);
    bench.runc(["delete", "--force", id]);
  });

  test("may be waited for by calls that a signal cannot interrupt (WAIT_KILLABLE_RECV)", () => {
    const flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    assert.match(bench.run(["mkdir", "/tmp/x"], asks(["mkdir"], { flags })).stderr, /No medium found/);
  });

  test("leaves no descriptor in the program or its hooks", () => {
    const line = "test $(ls /proc/self/fd | wc -l) = 4";
    const bend: Bend = (config) =>
      (config.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", line], env: ["PATH=/bin"] }] });
    assert.equal(bench.run(["sh", "-c", line], asks(["mkdir"], {}, bend)).status, 0, bench.lastError());
  });
});

describe("a listener that cannot be", () => {
  const refused: readonly (readonly [what: string, bend: () => Bend, wanted: RegExp])[] = [
    ["without a path", () => asks(["mkdir"], { listenerPath: "" }), /seccomp listenerPath is not set$/],
    [
      "with a path where nobody listens",
      () => asks(["mkdir"], { listenerPath: "/nonexist" }),
      /failed to connect with seccomp agent specified in the seccomp profile: dial unix \/nonexist: connect: no such/,
    ],
    ["for write", () => asks(["mkdir", "write"]), /SCMP_ACT_NOTIFY cannot be used for the write syscall$/],
    [
      "for everything",
      () => asks(["mkdir"], { defaultAction: "SCMP_ACT_NOTIFY" }),
      /SCMP_ACT_NOTIFY cannot be used as default action$/,
    ],
  ];
  for (const [what, bend, wanted] of refused) {
    test(`${what} is refused`, () => {
      assert.equal(bench.run(["true"], bend()).status, 1);
      assert.match(bench.lastError(), wanted);
    });
  }

  test("that no rule asks is not looked for", () => {
    const bend = withFilter({ defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/nonexist" });
    assert.equal(bench.run(["true"], bend).status, 0, bench.lastError());
  });
});

describe("flags", () => {
  const rule = [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }];
  for (const [flags, wanted] of [
    [undefined, 4],
    [[], 0],
    [["SECCOMP_FILTER_FLAG_LOG"], 2],
    [["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 4],
    [["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6],
  ] as const) {
    test(`${flags === undefined ? "that are absent" : `[${flags.join(" ")}]`} load the filter with ${wanted}`, () => {
      bench.configure(["true"], withFilter({ defaultAction: "SCMP_ACT_ALLOW", syscalls: rule, flags }));
      rmSync(bench.logOf(OURS), { force: true });
      const line = ["--debug", "--root", bench.rootOf(OURS), "--log", bench.logOf(OURS), "--log-format", "json"];
      const child = bench.runcBare([...line, "run", bench.newId()]);
      assert.equal(child.status, 0, child.stderr);
      assert.match(readFileSync(bench.logOf(OURS), "utf8"), new RegExp(`seccomp filter flags: ${wanted}"`));
    });
  }

  test("that are not known are refused", () => {
    const bend = withFilter({ defaultAction: "SCMP_ACT_ALLOW", syscalls: rule, flags: ["SECCOMP_FILTER_FLAG_FOO"] });
    assert.equal(bench.run(["true"], bend).status, 1);
    assert.match(bench.lastError(), /seccomp flag "SECCOMP_FILTER_FLAG_FOO" is not known to runc/);
  });
});

describe("a compiled program", () => {
  const refuse = (errnoRet: number) =>
    withFilter({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet }],
    });
  const kept = () => readdirSync(bench.rootOf(OURS)).filter((name) => name.startsWith(".seccomp-"));
  const forget = () => {
    for (const name of kept()) rmSync(join(bench.rootOf(OURS), name));
  };
  const outcome = (bend: Bend) => bench.run(["mkdir", "/tmp/x"], bend).stderr;

  test("is kept once for all containers with its rules, and read only by its owner", () => {
    forget();
    for (let round = 0; round < 3; round++) assert.match(outcome(refuse(18)), /Invalid cross-device link/);
    assert.equal(kept().length, 1);
  });

  test("of other rules under the same short key is never taken for it", () => {
    forget();
    // The key looks at some of the letters only: these two differ in one that it does not see.
    const long = (last: string) => {
      const names = Array.from({ length: 400 }, (_, at) => `no_such_call_${at}`);
      return withFilter({
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: [...names, last], action: "SCMP_ACT_ERRNO", errnoRet: 18 }],
      });
    };
    for (let round = 0; round < 2; round++) {
      assert.match(outcome(long("mkdir")), /Invalid cross-device link/);
      assert.equal(bench.run(["rmdir", "/tmp/nothing"], long("rmdir")).stderr.includes("cross-device"), true);
    }
    assert.ok(kept().length <= 2, kept().join(" "));
  });

  for (const [what, damage] of [
    ["cut short", (file: string) => truncateSync(file, 100)],
    ["empty", (file: string) => truncateSync(file, 0)],
    [
      "changed in its last byte",
      (file: string) => {
        const bytes = readFileSync(file);
        bytes[bytes.length - 1]! ^= 1;
        writeFileSync(file, bytes);
      },
    ],
    ["no file of ours", (file: string) => writeFileSync(file, "gantry-seccomp 9 1 1 1 1\n")],
  ] as const) {
    test(`that is ${what} is compiled again`, () => {
      forget();
      outcome(refuse(18));
      damage(join(bench.rootOf(OURS), kept()[0]!));
      assert.match(outcome(refuse(18)), /Invalid cross-device link/);
      assert.ok(readFileSync(join(bench.rootOf(OURS), kept()[0]!)).length > 200);
    });
  }

  test("is never half there for those who start at the same time", async () => {
    for (let round = 0; round < 5; round++) {
      forget();
      bench.configure(["mkdir", "/tmp/x"], refuse(18 + round));
      const runs = Array.from({ length: 8 }, () => {
        const child = spawn(OURS, ["--root", bench.rootOf(OURS), "run", bench.newId()], { cwd: bench.path });
        let text = "";
        child.stderr.on("data", (part) => (text += part));
        return new Promise<string>((resolve) => child.once("close", (code) => resolve(`${code} ${text}`)));
      });
      for (const text of await Promise.all(runs)) assert.match(text, /^1 mkdir: can't create directory/);
      assert.equal(kept().length, 1);
    }
  });

  test("is one of a bounded number", () => {
    forget();
    for (let at = 0; at < 70; at++) writeFileSync(join(bench.rootOf(OURS), `.seccomp-old${at}`), "");
    outcome(refuse(18));
    assert.equal(kept().length, 1);
  });

  test("stays with its container when the kept ones are thrown away", () => {
    const id = bench.start(["sleep", "60"], refuse(18));
    forget();
    assert.match(bench.runc(["exec", id, "mkdir", "/tmp/x"]).stderr, /Invalid cross-device link/);
    bench.runc(["delete", "--force", id]);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
