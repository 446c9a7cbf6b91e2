// CVE-2025-31133: what is laid over a masked path must be the null device, not what an image or a racing process has
// put at its name; and CVE-2025-52565: /dev/console must be the terminal that was made, not what stands at a path.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { type Config, OURS, RuntimeBench } from "../../bundle.ts";
import { type Bend, build, race, withoutMount } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const dev = join(bench.path, "dev");
const swap = build("swap", join(bench.path, "swap"));
const ROUNDS = 200;

/** /dev as a volume that others hold, too. */
const sharedDev: Bend = (config) => {
  withoutMount(config, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue");
  config.mounts.push({ destination: "/dev", type: "bind", source: dev, options: ["rbind", "rw"] });
};

beforeEach(() => {
  rmSync(dev, { recursive: true, force: true });
  mkdirSync(join(dev, "pts"), { recursive: true });
  node("null", "c", 1, 3);
});

function node(name: string, type: string, major: number, minor: number): void {
  spawnSync("mknod", ["-m", "666", join(dev, name), type, String(major), String(minor)]);
}

describe("a masked path", () => {
  const decoys: readonly (readonly [what: string, make: () => void])[] = [
    ["a link to a file of /proc", () => symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "null"))],
    ["a link to another device", () => symlinkSync("zero", join(dev, "null"))],
    ["an ordinary file", () => writeFileSync(join(dev, "null"), "x")],
    ["a directory", () => mkdirSync(join(dev, "null"))],
    ["another device", () => node("null", "c", 1, 5)],
    ["a block device of the same numbers", () => node("null", "b", 1, 3)],
    ["a fifo", () => void spawnSync("mkfifo", [join(dev, "null")])],
  ];
  for (const [what, make] of decoys) {
    test(`is not covered with what stands at /dev/null when that is ${what}: the start is refused`, () => {
      rmSync(join(dev, "null"));
      node("zero", "c", 1, 5);
      make();
      const result = bench.run(["cat", "/proc/keys"], sharedDev);
      assert.equal(result.status, 1, result.stdout);
      assert.match(bench.lastError(), /is not the null device|\/dev\/null/);
    });
  }

  test("is the null device, or an empty read-only directory, with the default configuration", () => {
    const look =
      "stat -c '%t %T %F' /proc/kcore /proc/timer_list; ls -A /proc/acpi /sys/firmware; touch /proc/acpi/x 2>&1";
    const result = bench.run(["sh", "-c", look]);
    assert.match(result.stdout, /^(1 3 character special file\n)+/);
    if (existsSync("/proc/acpi")) assert.match(result.stdout, /Read-only file system/);
  });

  test("stays covered while another process exchanges /dev/null for a link, hundreds of times", () => {
    node("zero", "c", 1, 5);
    symlinkSync("/proc/sys/kernel/core_pattern", join(dev, "decoy"));
    const bend: Bend = (config) => {
      sharedDev(config);
      config.linux.maskedPaths = ["/proc/kcore", "/proc/keys", "/proc/timer_list"];
    };
    using _racing = race(swap, [join(dev, "null"), join(dev, "decoy")]);
    // Each masked path opens the name again, and each round is one to start and one to run.
    bench.configure(["stat", "-c", "%t %T", "/proc/kcore", "/proc/keys"], bend);
    let outcomes = 0;
    for (let round = 0; round < ROUNDS / 6; round++) {
      const result = bench.runc(["run", bench.newId()]);
      outcomes++;
      if (result.status === 0) assert.equal(result.stdout, "1 3\n1 3\n");
      else assert.match(bench.lastError(), /is not the null device|\/dev\/null/);
    }
    assert.ok(outcomes > ROUNDS / 6 - 1);
  });
});

describe("/dev/console", () => {
  const script = (line: string) => ["sh", "-c", line];

  function withTerminal(args: readonly string[], bend: Bend): { status: number | null; output: string } {
    bench.configure(args, (config) => {
      config.process.terminal = true;
      bend(config);
    });
    const id = bench.newId();
    const line = `${OURS} --root ${bench.rootOf(OURS)} --log ${bench.logOf(OURS)} --log-format json run ${id}`;
    const result = spawnSync("script", ["-qefc", line, "/dev/null"], {
      cwd: bench.path,
      encoding: "utf8",
      timeout: 30_000,
    });
    return { status: result.status, output: result.stdout };
  }

  const pts = { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] };

  test("is the program's own terminal", () => {
    const { output } = withTerminal(
      script("stat -c '%t %T' /dev/console $(tty); stat -f -c %T /dev/console"),
      () => {},
    );
    const [one, two] = output
      .replace(/^[^\da-f]+/, "")
      .trim()
      .split(/\r?\n/);
    assert.equal(one, two);
  });

  test("that is a link into /proc is refused, and nothing is laid over the link's target", () => {
    symlinkSync("/proc/uptime", join(dev, "console"));
    const { status } = withTerminal(script("true"), (config) => {
      sharedDev(config);
      config.mounts.push(pts);
    });
    assert.equal(status, 1);
    assert.match(bench.lastError(), /\/dev\/console of the container leads into \/proc/);
  });

  test("that is a link out of the root stays inside it", () => {
    symlinkSync("../../../../../../../../etc/console-target", join(dev, "console"));
    withTerminal(script("true"), (config: Config) => {
      sharedDev(config);
      config.mounts.push(pts);
    });
    assert.equal(existsSync("/etc/console-target"), false);
  });

  test("does not come from what is no devpts", () => {
    writeFileSync(join(dev, "pts/ptmx"), "no terminal");
    const { status } = withTerminal(script("true"), sharedDev);
    assert.equal(status, 1);
    assert.match(bench.lastError(), /is not a devpts/);
    assert.equal(readFileSync(join(dev, "pts/ptmx"), "utf8"), "no terminal");
  });

  test("of exec comes from the container's devpts or from nowhere", () => {
    writeFileSync(join(dev, "pts/ptmx"), "no terminal");
    const id = bench.start(["sleep", "60"], sharedDev);
    const line = `${OURS} --root ${bench.rootOf(OURS)} --log ${bench.logOf(OURS)} --log-format json exec -t ${id} true`;
    const result = spawnSync("script", ["-qefc", line, "/dev/null"], { cwd: bench.path, encoding: "utf8" });
    assert.equal(result.status, 255);
    assert.match(bench.lastError(), /is not a devpts/);
    bench.runc(["delete", "--force", id]);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
