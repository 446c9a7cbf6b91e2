// CVE-2022-0492 and CVE-2023-25809: no container rules the host by its cgroups; and no device is reached that nobody
// allowed.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, OURS, RuntimeBench } from "../../bundle.ts";
import { UserLab } from "../../user-lab.ts";
import { type Bend, withAllRights } from "./attack.ts";

const bench = new RuntimeBench();
const lab = new UserLab();
after(() => {
  bench[Symbol.dispose]();
  lab[Symbol.dispose]();
});
const legacy =
  existsSync("/sys/fs/cgroup/memory/release_agent") || globSync("/sys/fs/cgroup/*/release_agent").length > 0;
const v1 = { skip: legacy ? false : "this machine has no cgroup v1" };

const MOUNT = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" };
const OPTIONS = ["nosuid", "noexec", "nodev", "relatime"];
const cgroups =
  (own: boolean, extra: string[] = ["ro"]): Bend =>
  (config) => {
    config.mounts = config.mounts.filter(({ type }: Config) => type !== "cgroup");
    config.mounts.push({ ...MOUNT, options: [...OPTIONS, ...extra] });
    config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "cgroup");
    if (own) config.linux.namespaces.push({ type: "cgroup" });
  };

const agent =
  "for d in /sys/fs/cgroup/*; do echo /evil 2>/dev/null > $d/release_agent && echo WRITTEN $d; done; " +
  "for d in /sys/fs/cgroup/*; do mkdir $d/made 2>/dev/null && echo MADE $d; done; " +
  "for c in memory rdma cpuset devices; do mkdir -p /tmp/c; " +
  "mount -t cgroup -o $c cgroup /tmp/c 2>/dev/null && echo MOUNTED $c; done; true";

describe("the release_agent of a cgroup v1 hierarchy", () => {
  for (const own of [true, false]) {
    test(`is not written by a container of every day ${own ? "with" : "without"} a cgroup namespace`, v1, () => {
      const before = globSync("/sys/fs/cgroup/*/release_agent").map((path) => readFileSync(path, "utf8"));
      const result = bench.run(["sh", "-c", agent], cgroups(own));
      assert.equal(result.status, 0, bench.lastError());
      assert.equal(result.stdout, "");
      assert.deepEqual(
        globSync("/sys/fs/cgroup/*/release_agent").map((path) => readFileSync(path, "utf8")),
        before,
      );
    });

    test(`is not there where the hierarchies are mounted writable ${own ? "with" : "without"} one`, v1, () => {
      const result = bench.run(["sh", "-c", "ls /sys/fs/cgroup/*/release_agent 2>/dev/null | wc -l"], cgroups(own, []));
      if (!own) assert.equal(result.stdout.trim(), "0");
      const written = bench.run(["sh", "-c", agent], cgroups(own, []));
      assert.doesNotMatch(written.stdout, /WRITTEN|MOUNTED/);
    });
  }

  test("is not within reach by a user namespace that the container makes", v1, () => {
    const inner = `unshare -UrmC sh -c '${agent.replaceAll("'", "'\\''")}'`;
    const result = bench.run(["sh", "-c", `${inner}; true`], cgroups(true));
    assert.doesNotMatch(result.stdout, /WRITTEN|MADE/);
  });

  test("is not needed: what `runc spec` writes has no CAP_SYS_ADMIN and mounts cgroups read-only", () => {
    bench.configure(["true"]);
    const config: Config = JSON.parse(readFileSync(join(bench.path, "config.json"), "utf8"));
    for (const set of Object.values(config.process.capabilities))
      assert.ok(!(set as string[]).includes("CAP_SYS_ADMIN"));
    const mount = config.mounts.find(({ type }: Config) => type === "cgroup");
    assert.ok(mount === undefined || mount.options.includes("ro"));
    if (!legacy) assert.ok(config.linux.namespaces.some(({ type }: Config) => type === "cgroup"));
  });
});

test("the root of a cgroup namespace is the container's own cgroup, in all hierarchies", () => {
  const result = bench.run(["cat", "/proc/self/cgroup"], cgroups(true));
  for (const line of result.stdout.trim().split("\n")) assert.match(line, /^\d+:[^:]*:\/$/);
});

describe("a container of a user without rights", () => {
  for (const own of [true, false]) {
    test(`writes nothing of the cgroups that are not its own, ${own ? "with" : "without"} a cgroup namespace`, () => {
      lab.sh(`cd ${lab.bundle} && ${OURS} spec --rootless`);
      const path = join(lab.bundle, "config.json");
      const config: Config = JSON.parse(readFileSync(path, "utf8"));
      config.process.terminal = false;
      config.root.readonly = false;
      const script =
        "for f in $(find /sys/fs/cgroup -name cgroup.procs -o -name cpuset.cpus -o -name memory.max 2>/dev/null); do " +
        "echo 0 2>/dev/null > $f && echo WRITTEN $f; done; " +
        "for d in $(find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d); do " +
        "mkdir $d/made 2>/dev/null && echo MADE $d; " +
        "done; echo end";
      config.process.args = ["sh", "-c", script];
      cgroups(own, ["rw"])(config);
      writeFileSync(path, JSON.stringify(config));
      const result = lab.sh(`cd ${lab.bundle} && ${OURS} --root ${lab.run}/s run ${lab.newId()}`);
      assert.equal(result.stdout, "end\n", result.stderr);
    });
  }
});

describe("devices", () => {
  const open =
    "for n in 'b 7 0' 'c 1 1' 'c 1 2' 'c 10 237' 'b 8 0' 'c 1 11'; do rm -f /tmp/n; mknod /tmp/n $n || continue; " +
    "(exec 3</tmp/n) 2>/dev/null && echo OPENED $n; done; (exec 3<>/dev/null) && echo null";
  const withMknod: Bend = (config) => {
    withAllRights(config);
    config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "user");
  };

  for (const [what, rules] of [
    ["with the rules that `runc spec` writes", undefined],
    [
      "with a rule that allows one and forgets the denial",
      [{ allow: true, type: "c", major: 1, minor: 3, access: "rwm" }],
    ],
  ] as const) {
    test(`that no rule allows are not opened ${what}, also by root with all rights`, () => {
      const bend: Bend = (config) => {
        withMknod(config);
        if (rules !== undefined) config.linux.resources.devices = [{ allow: false, access: "rwm" }, ...rules];
      };
      const result = bench.run(["sh", "-c", open], bend);
      assert.equal(result.stdout, "null\n", result.stderr);
      const id = bench.start(["sleep", "60"], bend);
      assert.equal(bench.runc(["exec", id, "sh", "-c", open]).stdout, "null\n");
      bench.runc(["delete", "--force", id]);
    });
  }
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
