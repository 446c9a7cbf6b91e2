// Mounts of config.json beside the original: what the container sees of each, and what is refused.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };
const source = join(bench.path, "source");
before(() => {
  mkdirSync(join(source, "inner"), { recursive: true });
  writeFileSync(join(source, "file"), "content\n");
});
after(() => bench[Symbol.dispose]());

/** Host mounts that a test needs, in a mount namespace of its own: a tmpfs with flags, and one below the source. */
const SET_UP = [
  `mount -t tmpfs -o nosuid,nodev,noexec,noatime,mode=755 tmpfs ${source}/inner`,
  `mkdir -p ${bench.path}/flagged`,
  `mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs ${bench.path}/flagged`,
  `mkdir ${bench.path}/flagged/below`,
  `mount -t tmpfs -o mode=755 tmpfs ${bench.path}/flagged/below`,
].join(" && ");

interface Outcome {
  status: number | null;
  stdout: string;
  error: string;
}

/** Set by a test that prepared /placed: the root of a user namespace cannot make it in another's root. */
let keepsPlace = false;

function outcome(runtime: string, script: string, bend: (config: Config) => void): Outcome {
  bench.configure(["sh", "-c", script], bend);
  if (!keepsPlace) rmSync(join(bench.rootfs, "placed"), { recursive: true, force: true });
  rmSync(bench.logOf(runtime), { force: true });
  const line = `${runtime} --root ${bench.rootOf(runtime)} --log ${bench.logOf(runtime)} --log-format json run`;
  const all = `${SET_UP} && exec ${line} ${bench.newId()}`;
  const result = spawnSync("unshare", ["--mount", "sh", "-c", all], {
    cwd: bench.path,
    encoding: "utf8",
    timeout: 30_000,
  });
  // The original's calls in detail are its own.
  const plain = (text: string) => text.replaceAll(/ \(via [^)]*\)|, flags: 0x[0-9a-f]+|, data: [^:]*/g, "");
  return {
    status: result.status,
    stdout: result.stdout,
    error: plain(result.status === 0 ? "" : bench.lastError(runtime)),
  };
}

/** Fields of mountinfo that do not change from run to run: root, point, options, propagation kinds, type, source. */
const LIST =
  "grep ' /placed' /proc/self/mountinfo | cut -d' ' -f4- | " +
  "sed -E 's#(shared|master|propagate_from):[0-9]+#\\1#g; s#,?(size|nr_inodes|inode64)(=[^,]*)?##g'";

interface Mount {
  type?: string;
  source?: string;
  destination?: string;
  options?: string[];
}

function withMounts(...mounts: Mount[]): (config: Config) => void {
  return (config) => {
    for (const mount of mounts) config.mounts.push({ destination: "/placed", source: "none", ...mount });
  };
}

function same(bend: (config: Config) => void, script = LIST): Outcome {
  const [ours, theirs] = [OURS, ORIGINAL].map((runtime) => outcome(runtime, script, bend));
  assert.deepEqual(ours, theirs);
  return ours!;
}

describe("a bind is what it is under the original", both, () => {
  const flagged = join(bench.path, "flagged");
  const cases: readonly (readonly [what: string, from: string, options: string[]])[] = [
    ["a directory", source, ["bind"]],
    ["a directory, read-only", source, ["bind", "ro"]],
    ["a tree", source, ["rbind"]],
    ["a tree, read-only at its top", source, ["rbind", "ro"]],
    ["a tree with flags", source, ["rbind", "nosuid", "noexec", "nodev"]],
    ["a tree, read-only throughout", source, ["rbind", "rro"]],
    ["a tree whose parts are changed throughout", source, ["rbind", "rnosuid", "rnoexec", "rnodev", "rnoatime"]],
    ["a tree with flags taken back throughout", source, ["rbind", "rexec", "rdev", "rsuid"]],
    ["a tree with times", source, ["rbind", "rstrictatime", "rnodiratime"]],
    ["a tree without links", source, ["rbind", "rnosymfollow"]],
    ["a directory without links", source, ["bind", "nosymfollow"]],
    ["a file", join(source, "file"), ["bind"]],
    ["a file, read-only", join(source, "file"), ["bind", "ro", "nosuid"]],
    ["what has flags on the host", flagged, ["bind"]],
    ["what has flags on the host, with one of them", flagged, ["bind", "nosuid"]],
    ["what has flags on the host, read-only", flagged, ["bind", "ro"]],
    ["times of access off", source, ["bind", "noatime"]],
    ["times of access strict", source, ["bind", "strictatime"]],
    ["times of access relative", source, ["bind", "relatime"]],
    ["times of directories off", source, ["bind", "nodiratime"]],
    ["a private one", source, ["bind", "private"]],
    ["a slave", source, ["rbind", "rslave"]],
    ["a shared one", source, ["bind", "shared"]],
    ["an unbindable one", source, ["bind", "unbindable"]],
    ["a shared tree, read-only", source, ["rbind", "ro", "rshared"]],
    ["with words that mean nothing", source, ["bind", "defaults", "async", "loud"]],
  ];
  for (const [what, from, options] of cases) {
    test(`${what}: ${options.join(",")}`, () => {
      const { stdout } = same(withMounts({ type: "bind", source: from, options }));
      assert.notEqual(stdout, "");
    });
  }
});

describe("a new filesystem is what it is under the original", both, () => {
  const cases: readonly (readonly [what: string, mount: Mount])[] = [
    ["tmpfs", { type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", "size=65536k"] }],
    ["tmpfs, read-only", { type: "tmpfs", source: "tmpfs", options: ["ro"] }],
    ["tmpfs with links not followed", { type: "tmpfs", source: "tmpfs", options: ["nosymfollow"] }],
    ["tmpfs with times", { type: "tmpfs", source: "tmpfs", options: ["strictatime", "nodiratime"] }],
    ["tmpfs that is synchronous", { type: "tmpfs", source: "tmpfs", options: ["sync", "dirsync", "lazytime"] }],
    ["tmpfs shared", { type: "tmpfs", source: "tmpfs", options: ["rshared"] }],
    ["tmpfs with an owner", { type: "tmpfs", source: "tmpfs", options: ["uid=5", "gid=6", "mode=0700"] }],
    ["proc", { type: "proc", source: "proc", options: ["nosuid"] }],
    ["sysfs", { type: "sysfs", source: "sysfs", options: ["ro", "nosuid", "noexec", "nodev"] }],
    ["mqueue", { type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] }],
    ["devpts", { type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666", "mode=0620"] }],
    [
      "overlay",
      {
        type: "overlay",
        source: "overlay",
        options: [`lowerdir=${join(source, "inner")}:${join(bench.rootfs, "etc")}`],
      },
    ],
  ];
  for (const [what, mount] of cases) {
    test(what, () => assert.notEqual(same(withMounts(mount)).stdout, ""));
  }

  test("two on one place, one below the other, and one below what does not exist", () => {
    const tmpfs = { type: "tmpfs", source: "tmpfs" };
    same(
      withMounts(
        { ...tmpfs, destination: "/placed/a" },
        { ...tmpfs, destination: "/placed/a/b/c" },
        { ...tmpfs, destination: "/placed/a" },
      ),
    );
  });

  test("tmpcopyup begins with what was there", () => {
    const place = join(bench.rootfs, "placed");
    rmSync(place, { recursive: true, force: true });
    mkdirSync(join(place, "sub"), { recursive: true });
    writeFileSync(join(place, "sub/file"), "kept\n", { mode: 0o640 });
    symlinkSync("sub/file", join(place, "link"));
    keepsPlace = true;
    const bend = withMounts({ type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    const { stdout } = same(
      bend,
      "cat /placed/link; stat -c '%a %n' /placed/sub /placed/sub/file; echo new >/placed/more",
    );
    assert.match(stdout, /^kept\n755 \/placed\/sub\n640 \/placed\/sub\/file\n/);
    assert.equal(existsSync(join(place, "more")), false);
    keepsPlace = false;
  });
});

describe("what cannot be mounted is refused as the original refuses it", both, () => {
  const cases: readonly (readonly [what: string, mount: Mount])[] = [
    ["a bind of nothing", { type: "bind", source: "/nonexist", options: ["bind"] }],
    ["a type that is none", { type: "nope", source: "placed" }],
    [
      "a bind over a file of /proc",
      { destination: "/proc/cmdline", type: "bind", source: join(source, "file"), options: ["bind"] },
    ],
    ["a file over a directory", { destination: "/etc", type: "bind", source: join(source, "file"), options: ["bind"] }],
  ];
  for (const [what, mount] of cases) test(what, () => assert.notEqual(same(withMounts(mount)).status, 0));

  for (const name of ["cpuinfo", "meminfo", "uptime", "loadavg", "stat", "diskstats", "swaps"]) {
    test(`but /proc/${name} may be covered`, () => {
      const mount = { destination: `/proc/${name}`, type: "bind", source: join(source, "file"), options: ["bind"] };
      assert.equal(same(withMounts(mount), `cat /proc/${name}`).stdout, "content\n");
    });
  }
});

describe("what the newest original does, and the one here does not", () => {
  const flagged = { type: "bind", source: join(bench.path, "flagged") };

  test("a bind that takes flags back loses those of the host", () => {
    for (const options of [
      ["bind", "exec", "suid", "dev"],
      ["rbind", "exec"],
    ]) {
      assert.match(outcome(OURS, LIST, withMounts({ ...flagged, options })).stdout, /^\/ \/placed rw,relatime - /);
    }
  });

  test("a flag that the host locked cannot be taken back, and stays where nobody asks", () => {
    const users = (mount: Mount) => (config: Config) => {
      withMounts(mount)(config);
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    };
    mkdirSync(join(bench.rootfs, "placed"), { recursive: true });
    keepsPlace = true;
    const kept = outcome(OURS, LIST, users({ ...flagged, options: ["rbind", "ro"] }));
    assert.match(kept.stdout, /^\/ \/placed ro,nosuid,nodev,noexec/, kept.error);
    const { status, error } = outcome(OURS, LIST, users({ ...flagged, options: ["rbind", "exec", "dev"] }));
    keepsPlace = false;
    assert.equal(status, 1);
    assert.match(error, /operation not permitted$/);
  });

  test("a remount changes what is there", () => {
    const tmpfs = { type: "tmpfs", source: "tmpfs", options: ["nosuid"] };
    const again = { type: "bind", source: "/placed", options: ["remount", "bind", "ro", "nosuid"] };
    assert.match(
      outcome(OURS, LIST, withMounts(tmpfs, again)).stdout,
      /^\/ \/placed ro,nosuid,relatime - tmpfs tmpfs rw/,
    );
  });

  for (const [what, mount, wanted] of [
    ["an option that is none", { type: "tmpfs", options: ["nope=1"] }, /Unknown parameter 'nope'\): invalid argument$/],
    [
      "over /proc",
      { destination: "/proc", type: "tmpfs" },
      /\/rootfs\/proc" cannot be mounted because it is not of type proc$/,
    ],
    ["a bind over /proc", { destination: "/proc", type: "bind", source, options: ["bind"] }, /it is not of type proc$/],
    [
      "inside /proc",
      { destination: "/proc/sys", type: "tmpfs" },
      /\/proc\/sys" cannot be mounted because it is inside \/proc$/,
    ],
  ] as const) {
    test(`refused: ${what}`, () => {
      const { status, error } = outcome(OURS, "true", withMounts(mount as Mount));
      assert.equal(status, 1);
      assert.match(error, wanted);
    });
  }

  test("another procfs may be bound over /proc", () => {
    const bend = withMounts({ destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] });
    assert.equal(outcome(OURS, "test -d /proc/1 && echo there", bend).stdout, "there\n");
  });
});

describe("places inside the root", both, () => {
  test("are followed through links, and made where a link leads to nothing", () => {
    symlinkSync("/tmp/led", join(bench.rootfs, "lead"));
    const bend = withMounts({ destination: "/lead/to", type: "bind", source: join(source, "file"), options: ["bind"] });
    assert.equal(same(bend, "cat /tmp/led/to").stdout, "content\n");
    rmSync(join(bench.rootfs, "lead"));
    rmSync(join(bench.rootfs, "tmp/led"), { recursive: true });
  });

  test("may be named relative to the root", () => {
    same(withMounts({ destination: "placed", type: "tmpfs", source: "tmpfs" }));
  });
});

describe("mounts with ids of their own", () => {
  const maps = {
    uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  };
  const owner = (path: string) => `stat -c '%u %g' ${path}`;
  const bind = (mount: Config) => (config: Config) =>
    config.mounts.push({ destination: "/placed", type: "bind", source, ...mount });

  test("show the host's owners as the mappings say", () => {
    const result = outcome(
      OURS,
      `${owner("/placed/file")}; ${owner("/placed/inner")}`,
      bind({ options: ["rbind", "ridmap"], ...maps }),
    );
    assert.equal(result.stdout, "100000 100000\n100000 100000\n", result.error);
  });

  test("leave what is mounted below alone with idmap, and take the mappings alone as the wish", () => {
    for (const options of [["rbind", "idmap"], ["rbind"]]) {
      const result = outcome(OURS, `${owner("/placed/file")}; ${owner("/placed/inner")}`, bind({ options, ...maps }));
      assert.equal(result.stdout, "100000 100000\n0 0\n", result.error);
    }
  });

  test("use the container's mappings where they have none", () => {
    const bend = (config: Config) => {
      // A tree: what is mounted below is locked to it in a user namespace.
      bind({ options: ["rbind", "idmap"] })(config);
      config.linux.namespaces.push({ type: "user" });
      Object.assign(config.linux, maps);
    };
    mkdirSync(join(bench.rootfs, "placed"), { recursive: true });
    keepsPlace = true;
    const result = outcome(OURS, owner("/placed/file"), bend);
    keepsPlace = false;
    assert.equal(result.stdout, "0 0\n", result.error);
  });

  for (const [what, mount, wanted] of [
    [
      "no mappings at all",
      { options: ["bind", "idmap"] },
      /id-mapped mounts must have both uid and gid mappings specified/,
    ],
    [
      "only one of them",
      { options: ["bind"], uidMappings: maps.uidMappings },
      /both uid and gid mappings|must specify/,
    ],
    ["another type than a bind", { type: "tmpfs", options: ["idmap"], ...maps }, /only supported for bind-mounts/],
  ] as const) {
    test(`are refused with ${what}`, () => {
      const { status, error } = outcome(OURS, "true", bind(mount));
      assert.equal(status, 1);
      assert.match(error, wanted);
    });
  }
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
