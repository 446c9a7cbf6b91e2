// CVE-2026-41579, CVE-2021-30465, CVE-2024-45310: what the runtime makes and mounts for a container is made inside the
// container's root, whatever links the image brings and however fast another process exchanges them. Races run a
// bounded number of rounds against a real process on the same directory.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../../bundle.ts";
import { type Bend, build, race, withoutMount } from "./attack.ts";

const bench = new RuntimeBench();
const outside = mkdtempSync(join(tmpdir(), "gantry-outside-"));
const swap = build("swap", join(bench.path, "swap"));
const up = "../".repeat(12);
const ROUNDS = 60;
after(() => {
  bench[Symbol.dispose]();
  rmSync(outside, { recursive: true, force: true });
});
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

/** The host's directory was not touched. */
function untouched(): void {
  assert.deepEqual(readdirSync(outside), []);
}

const bind =
  (destination: string, source: string, options = ["bind"]): Bend =>
  (config) =>
    config.mounts.push({ destination, type: "bind", source, options });

describe("an image", () => {
  const dev = join(bench.rootfs, "dev");
  for (const target of [`${up}${outside}`, outside, "/proc/self/root", "/proc/1/cwd", "dev"]) {
    test(`whose /dev is a link to ${target.replace(outside, "the host's directory")} has no effect outside`, () => {
      rmSync(dev, { recursive: true });
      symlinkSync(target, dev);
      const before = readdirSync("/").sort();
      bench.run(["true"], (config) => {
        withoutMount(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue");
        config.linux.devices = [{ path: "/dev/made", type: "c", major: 1, minor: 3 }];
        config.linux.maskedPaths = [];
      });
      untouched();
      assert.deepEqual(readdirSync("/").sort(), before);
      rmSync(dev);
      mkdirSync(dev);
    });
  }

  test("whose devices lie behind links gets them inside its root", () => {
    symlinkSync(outside, join(bench.rootfs, "away"));
    bench.run(["true"], (config) => (config.linux.devices = [{ path: "/away/made", type: "c", major: 1, minor: 3 }]));
    untouched();
    assert.equal(lstatSync(join(bench.rootfs, outside, "made")).isCharacterDevice(), true);
  });

  test("whose mount targets lie behind links has them inside its root", () => {
    const source = join(bench.path, "config.json");
    for (const [name, target] of [
      ["abs", outside],
      ["rel", `${up}${outside}`],
      ["dangling", `${up}${outside}/x/y`],
    ] as const) {
      symlinkSync(target, join(bench.rootfs, name));
      for (const below of ["", "/deep/er"]) {
        const result = bench.run(["true"], (config) => {
          bind(`/${name}${below}/file`, source)(config);
          config.mounts.push({
            destination: `/${name}${below}/t`,
            type: "tmpfs",
            source: "tmpfs",
            options: ["tmpcopyup"],
          });
        });
        assert.equal(result.status, 0, bench.lastError());
        untouched();
      }
    }
  });

  test("whose working directory lies behind a link has it made inside its root", () => {
    symlinkSync(`${up}${outside}/work`, join(bench.rootfs, "work"));
    bench.run(["true"], (config) => (config.process.cwd = "/work/here"));
    untouched();
  });

  test("cannot send a mount through /proc's own links to another process's root", () => {
    symlinkSync("/proc/1/root", join(bench.rootfs, "first"));
    const result = bench.run(["true"], bind(`/first${outside}/file`, join(bench.path, "config.json")));
    assert.notEqual(result.status, 0);
    untouched();
  });

  test("whose masked and read-only paths are links changes nothing but itself", () => {
    symlinkSync(`${up}${outside}`, join(bench.rootfs, "masked"));
    bench.run(["true"], (config) => {
      config.linux.maskedPaths.push("/masked");
      config.linux.readonlyPaths.push("/masked");
    });
    writeFileSync(join(outside, "still"), "writable");
    rmSync(join(outside, "still"));
  });
});

describe("the root itself", () => {
  for (const [what, path] of [
    ["a link", "link"],
    ["below a link", "way/rootfs"],
  ] as const) {
    test(`that is ${what} is refused, as with the original`, both, () => {
      symlinkSync("rootfs", join(bench.path, "link"));
      symlinkSync(".", join(bench.path, "way"));
      for (const runtime of [OURS, ORIGINAL]) {
        assert.equal(bench.run(["true"], (config) => (config.root.path = path), runtime).status, 1);
        assert.match(bench.lastError(runtime), /invalid rootfs: not an absolute path, or a symlink/);
      }
      rmSync(join(bench.path, "link"));
      rmSync(join(bench.path, "way"));
    });
  }

  test("that is exchanged for a link while containers begin is never another directory", () => {
    mkdirSync(join(outside, "other/bin"), { recursive: true });
    const real = join(bench.path, "raced");
    execFileSync("cp", ["-a", bench.rootfs, real]);
    symlinkSync(join(outside, "other"), join(bench.path, "raced-link"));
    bench.configure(["true"], (config) => {
      config.root.path = "raced";
      config.mounts.push({ destination: "/made-by-us", type: "tmpfs", source: "tmpfs", options: [] });
    });
    {
      using _racing = race(swap, [real, join(bench.path, "raced-link")]);
      for (let round = 0; round < ROUNDS; round++) bench.runc(["run", bench.newId()]);
    }
    assert.deepEqual(readdirSync(join(outside, "other")), ["bin"]);
    rmSync(join(outside, "other"), { recursive: true });
    for (const name of ["raced", "raced-link"]) rmSync(join(bench.path, name), { recursive: true });
  });
});

describe("a mount's source", () => {
  test("is what its link leads to on the host, not what the same words mean inside", () => {
    writeFileSync(join(bench.path, "real"), "of the host");
    mkdirSync(join(bench.rootfs, bench.path), { recursive: true });
    writeFileSync(join(bench.rootfs, bench.path, "real"), "of the image");
    symlinkSync(join(bench.path, "real"), join(bench.path, "to-real"));
    const result = bench.run(["cat", "/tmp/seen"], bind("/tmp/seen", join(bench.path, "to-real")));
    assert.equal(result.stdout, "of the host");
  });

  test("that changes from file to directory meanwhile is never mounted as the other", () => {
    writeFileSync(join(bench.path, "one"), "file");
    mkdirSync(join(bench.path, "two"));
    using _racing = race(swap, [join(bench.path, "one"), join(bench.path, "two")]);
    bench.configure(["ls", "/tmp/either"], bind("/tmp/either", join(bench.path, "one")));
    for (let round = 0; round < ROUNDS / 2; round++) {
      const result = bench.runc(["run", bench.newId()]);
      if (result.status !== 0) assert.match(bench.lastError(), /not a directory|is a directory|no such file/);
      rmSync(join(bench.rootfs, "tmp/either"), { recursive: true, force: true });
    }
  });
});

describe("while another container exchanges a shared volume's directory for a link to the host", () => {
  const volume = join(bench.path, "volume");
  const target = join(volume, "target");
  before(() => {
    mkdirSync(target, { recursive: true });
    symlinkSync(`${up}${outside}`, join(volume, "link"));
  });

  const kinds: readonly (readonly [what: string, mount: Config])[] = [
    ["a directory is bound there", { type: "bind", source: join(bench.rootfs, "etc"), options: ["bind"] }],
    ["a file is bound there", { type: "bind", source: "/bin/busybox", options: ["bind", "ro"] }],
    ["a tmpfs is mounted there", { type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] }],
  ];
  for (const [what, mount] of kinds) {
    test(`nothing is made or mounted outside when ${what}`, () => {
      const deep = mount.type === "bind" && mount.source === "/bin/busybox" ? "a/file" : "a/b/c";
      bench.configure(["true"], (config) => {
        bind("/volume", volume, ["rbind"])(config);
        config.mounts.push({ destination: `/volume/target/${deep}`, ...mount });
      });
      {
        using _racing = race(swap, [target, join(volume, "link")]);
        for (let round = 0; round < ROUNDS; round++) {
          bench.runc(["run", bench.newId()]);
          untouched();
          assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(outside));
          rmSync(join(bench.rootfs, outside), { recursive: true, force: true });
        }
      }
      // Whichever of the two is the directory now.
      if (lstatSync(target).isSymbolicLink()) renameSync(join(volume, "link"), join(volume, "kept"));
      if (existsSync(join(volume, "kept"))) {
        renameSync(target, join(volume, "link"));
        renameSync(join(volume, "kept"), target);
      }
      rmSync(join(target, "a"), { recursive: true, force: true });
    });
  }
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
