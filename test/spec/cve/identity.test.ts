// Who a program is: ids are unsigned and never wrap (CVE-2024-40635), the inheritable set is empty unless config.json
// asks for it (CVE-2022-29162, CVE-2022-24769), and what the filter does not know is refused.

import assert from "node:assert/strict";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, RuntimeBench } from "../../bundle.ts";
import { type Bend, build } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());

const user =
  (value: Config): Bend =>
  (config) =>
    Object.assign(config.process.user, value);
const shown = ["sh", "-c", "grep -E '^(Uid|Gid|Groups)' /proc/self/status | tr -s '\\t ' ' '"];

describe("an id", () => {
  for (const id of [2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 2]) {
    test(`of ${id} is that number, for the first process and one of exec`, () => {
      const bend = user({ uid: id, gid: id, additionalGids: [id] });
      const wanted = new RegExp(`Uid: ${id} ${id} ${id} ${id}\nGid: ${id} ${id} ${id} ${id}\nGroups: ${id}`);
      assert.match(bench.run(shown, bend).stdout, wanted);
      const sleeper = bench.start(["sleep", "60"]);
      const result = bench.runc(["exec", "--user", `${id}:${id}`, "--additional-gids", String(id), sleeper, ...shown]);
      assert.match(result.stdout, wanted);
      bench.runc(["delete", "--force", sleeper]);
    });
  }

  for (const id of [2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1000, 2 ** 53, -1, 0.5, 1e30]) {
    test(`of ${id} is refused, and nobody becomes root for it`, () => {
      for (const field of ["uid", "gid"]) {
        const result = bench.run(["id"], user({ [field]: id }));
        assert.notEqual(result.status, 0, result.stdout);
        assert.equal(result.stdout, "");
      }
      assert.equal(bench.run(["id"], user({ additionalGids: [id] })).stdout, "");
      const sleeper = bench.start(["sleep", "60"]);
      for (const words of [`${id}`, `0:${id}`, `${id}:0`]) {
        const result = bench.runc(["exec", "--user", words, sleeper, "id"]);
        assert.notEqual(result.status, 0, `${words}: ${result.stdout}`);
      }
      bench.runc(["delete", "--force", sleeper]);
    });
  }

  test("that is no number at all is refused by exec", () => {
    const sleeper = bench.start(["sleep", "60"]);
    for (const words of ["", ":", "0x10", "1e3", " 1", "1:", ":1", "+1", "1:2:3", "root"]) {
      const result = bench.runc(["exec", "--user", words, sleeper, "id", "-u"]);
      if (words === "") continue;
      assert.notEqual(result.stdout, "0\n", words);
    }
    bench.runc(["delete", "--force", sleeper]);
  });

  test("of a mapping that reaches beyond 32 bits is refused", () => {
    for (const mapping of [
      { containerID: 0, hostID: 2 ** 32 - 10, size: 100 },
      { containerID: 0, hostID: 2 ** 32, size: 1 },
    ]) {
      const result = bench.run(["true"], (config) => {
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [mapping];
        config.linux.gidMappings = [mapping];
      });
      assert.notEqual(result.status, 0);
    }
  });
});

describe("the inheritable set", () => {
  const sets = ["sh", "-c", "grep -E 'Cap(Inh|Amb)' /proc/self/status"];
  const empty = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";

  test("is empty with what `runc spec` writes, also for exec and exec --cap", () => {
    assert.equal(bench.run(sets).stdout, empty);
    const sleeper = bench.start(["sleep", "60"]);
    assert.equal(bench.runc(["exec", sleeper, ...sets]).stdout, empty);
    const added = bench.runc(["exec", "--cap", "CAP_NET_ADMIN", sleeper, ...sets]).stdout;
    assert.match(added, /CapInh:\t0000000000000000\n/);
    bench.runc(["delete", "--force", sleeper]);
  });

  test("does not come from the caller", () => {
    // A program with inheritable file capabilities would get them from the set.
    assert.equal(bench.run(sets, (config) => (config.process.capabilities = undefined)).stdout, empty);
  });
});

describe("a filter", () => {
  const calls = build("calls", join(bench.rootfs, "bin/calls"));
  chmodSync(calls, 0o755);
  const ENOSYS = 38;
  const EPERM = 1;
  const [FUTURE, MOUNT_SETATTR, GETPID] = [9999, 442, 39];

  test("answers calls newer than any it names with ENOSYS, those it could have named as it says", () => {
    const result = bench.run(["calls", String(FUTURE), String(GETPID), "165"], (config) => {
      const names =
        "execve exit exit_group write read getpid brk mmap munmap arch_prctl set_tid_address set_robust_list rseq";
      const more =
        "mprotect prlimit64 getrandom readlink readlinkat newfstatat fstat uname statx ioctl futex capset prctl close";
      const rule = { names: [...names.split(" "), ...more.split(" "), "no_such_call_yet"], action: "SCMP_ACT_ALLOW" };
      config.linux.seccomp = { defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"], syscalls: [rule] };
    });
    assert.equal(result.stdout, `${FUTURE} ${ENOSYS}\n${GETPID} 0\n165 ${EPERM}\n`, bench.lastError());
    assert.ok(MOUNT_SETATTR);
  });

  test("does not let calls of another architecture's numbers pass", () => {
    // The bit of x32, which is the same kernel entry.
    const result = bench.run(["calls", String(0x40000000 + GETPID)], (config) => {
      const rule = { names: ["getpid"], action: "SCMP_ACT_ERRNO" };
      config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [rule] };
    });
    assert.ok(result.status !== 0 || /\d+ (1|38)\n/.test(result.stdout), result.stdout);
  });
});

test("a set-user-id program gains nothing under no_new_privs", () => {
  copyFileSync("/bin/busybox", join(bench.rootfs, "bin/setuid"));
  chmodSync(join(bench.rootfs, "bin/setuid"), 0o4755);
  const result = bench.run(["setuid", "id", "-u"], user({ uid: 1234, gid: 1234 }));
  assert.notEqual(result.stdout, "0\n");
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
