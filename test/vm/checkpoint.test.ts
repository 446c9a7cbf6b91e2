// Checkpoint and restore through the real criu, whose Debian release works with Debian's kernel alone: what goes on
// from where it was, what the flags change, images that the original reads and writes, failures that leave nothing.

import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../tools/build/paths.ts";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

/** Everything is slow in the machine: a dump takes seconds. */
const PATIENCE = 180_000;
const PROBE = join(layout.work, "vm-probe");
const COUNTING = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.1; done";

const bench = new RuntimeBench();
const counter = join(bench.rootfs, "tmp/count");
after(() => bench[Symbol.dispose]());
afterEach(() => {
  // What a failed test left must not fail the next.
  for (const runtime of [OURS, ORIGINAL]) {
    const root = bench.rootOf(runtime);
    const names = existsSync(root) ? readdirSync(root).filter((name) => name.startsWith(bench.tag)) : [];
    for (const name of names) runc(["delete", "--force", name], { runtime });
  }
});

let places = 0;
/** Of a checkpoint: its images, and where criu works. */
function newPlace(): { images: string; work: string } {
  const place = join(bench.path, `place-${++places}`);
  mkdirSync(place);
  return { images: join(place, "images"), work: join(place, "work") };
}

interface Call {
  runtime?: string;
  env?: NodeJS.ProcessEnv;
}

function runc(args: readonly string[], { runtime = OURS, env = process.env }: Call = {}): SpawnSyncReturns<string> {
  const line = ["--root", bench.rootOf(runtime), "--log", bench.logOf(runtime), "--log-format", "json", ...args];
  // What is detached inherits the outputs.
  const output = args.includes("--detach") ? "ignore" : "pipe";
  const stdio: ["ignore", typeof output, typeof output] = ["ignore", output, output];
  return spawnSync(runtime, line, { cwd: bench.path, encoding: "utf8", timeout: PATIENCE, env, stdio });
}

function succeed(args: readonly string[], call: Call = {}): string {
  const result = runc(args, call);
  assert.equal(result.status, 0, `${args.join(" ")}: ${result.stderr ?? ""} ${bench.lastError(call.runtime)}`);
  return result.stdout ?? "";
}

function start(script: string, bend: (config: Config) => void = () => {}, runtime = OURS): string {
  bench.configure(["sh", "-c", script], bend);
  const id = bench.newId();
  rmSync(counter, { force: true });
  succeed(["run", "--detach", id], { runtime });
  return id;
}

async function until(what: string, done: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!done()) {
    assert.ok(Date.now() < end, `in vain waited until ${what}`);
    await sleep(50);
  }
}

const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

async function counted(more: number): Promise<number> {
  await until(`it counts beyond ${more}`, () => Number(textOf(counter)) > more);
  return Number(textOf(counter));
}

const state = (id: string, runtime = OURS) => JSON.parse(succeed(["state", id], { runtime }));
const remove = (id: string, runtime = OURS) => succeed(["delete", "--force", id], { runtime });

describe("a counter", () => {
  for (const [dumper, restorer] of [
    [OURS, OURS],
    [ORIGINAL, OURS],
    [OURS, ORIGINAL],
  ] as const) {
    const name = (runtime: string) => (runtime === OURS ? "ours" : "the original");
    test(`checkpointed by ${name(dumper)} and restored by ${name(restorer)} goes on from its number`, async () => {
      const { images, work } = newPlace();
      const id = start(COUNTING, undefined, dumper);
      await counted(2);
      succeed(["checkpoint", "--image-path", images, "--work-path", work, id], { runtime: dumper });
      const before = Number(textOf(counter));
      assert.equal(runc(["state", id], { runtime: dumper }).status, 1);
      assert.deepEqual(bench.leftovers(), []);
      rmSync(counter, { force: true });
      const restore = ["restore", "--detach", "--image-path", images, "--work-path", work, "--pid-file", "pid", id];
      succeed(restore, { runtime: restorer });
      await until("it counts again", () => textOf(counter) !== "");
      assert.ok(Number(textOf(counter)) >= before, `${textOf(counter)} after ${before}`);
      const { pid, status } = state(id, restorer);
      assert.equal(status, "running");
      assert.equal(Number(textOf(join(bench.path, "pid"))), pid);
      assert.match(readFileSync(`/proc/${pid}/cgroup`, "utf8"), new RegExp(`/${id}$`, "m"));
      assert.match(runc(["exec", id, "sh", "-c", "kill -0 1 && echo seen"], { runtime: restorer }).stdout, /seen/);
      remove(id, restorer);
    });
  }

  test("left running goes on, and can be checkpointed again", async () => {
    const id = start(COUNTING);
    for (let round = 0; round < 2; round++) {
      const { images } = newPlace();
      succeed(["checkpoint", "--leave-running", "--image-path", images, id]);
      assert.equal(state(id).status, "running");
      await counted(await counted(0));
    }
    remove(id);
    assert.deepEqual(bench.leftovers(), []);
  });

  test("dumped in two steps is restored from both image directories", async () => {
    const first = newPlace();
    const last = newPlace();
    const id = start(COUNTING);
    await counted(1);
    succeed(["checkpoint", "--pre-dump", "--image-path", first.images, id]);
    assert.equal(state(id).status, "running");
    runc(["checkpoint", "--parent-path", first.images, "--image-path", last.images, id]);
    assert.equal(bench.lastError(), "--parent-path must be relative");
    runc(["checkpoint", "--parent-path", "../nowhere", "--image-path", last.images, id]);
    assert.match(bench.lastError(), /^invalid --parent-path: stat .*nowhere: no such file or directory$/);
    const parent = relative(last.images, first.images);
    succeed(["checkpoint", "--parent-path", parent, "--image-path", last.images, id]);
    assert.ok(existsSync(join(last.images, "parent")));
    const before = Number(textOf(counter));
    succeed(["restore", "--detach", "--image-path", last.images, id]);
    await counted(before);
    remove(id);
  });

  test("restored in the foreground ends with its code, and nothing is left", async () => {
    const { images } = newPlace();
    const id = start("trap 'exit 7' TERM; : > /tmp/count; while :; do sleep 0.1; done");
    await until("the trap is set", () => existsSync(counter));
    succeed(["checkpoint", "--image-path", images, id]);
    const line = ["--root", bench.rootOf(OURS), "restore", "--image-path", images, id];
    const child = spawn(OURS, line, { cwd: bench.path, stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("close", resolve));
    await until("it runs", () => runc(["state", id]).status === 0 && state(id).status === "running");
    child.kill("SIGTERM");
    assert.equal(await ended, 7);
    assert.deepEqual(bench.leftovers(), []);
  });
});

test("a terminal goes on, its new master through the console socket", async () => {
  const { images, work } = newPlace();
  const terminal = (name: string) => {
    const [path, seen] = [join(bench.path, `${name}.sock`), join(bench.path, `${name}.out`)];
    const file = openSync(seen, "a");
    const child = spawn(PROBE, ["console", path], { stdio: ["ignore", file, "ignore"] });
    closeSync(file);
    return { path, seen, [Symbol.dispose]: () => void child.kill() };
  };
  const last = (text: string) => Number(/tick (\d+)\s*$/.exec(text)?.[1] ?? 0);
  using first = terminal("first");
  using second = terminal("second");
  await until("they listen", () => existsSync(first.path) && existsSync(second.path));
  const script = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done";
  bench.configure(["sh", "-c", script], (config: Config) => {
    config.process.terminal = true;
  });
  const id = bench.newId();
  succeed(["run", "--detach", "--console-socket", first.path, id]);
  await until("it ticks", () => last(textOf(first.seen)) > 2);
  runc(["restore", "--detach", "--image-path", images, id]);
  assert.match(bench.lastError(), /cannot allocate tty if runc will detach without setting console socket/);
  succeed(["checkpoint", "--image-path", images, "--work-path", work, id]);
  const before = last(textOf(first.seen));
  succeed(["restore", "--detach", "--console-socket", second.path, "--image-path", images, "--work-path", work, id]);
  await until("it ticks again", () => last(textOf(second.seen)) > before);
  assert.match(textOf(second.seen), /^"orphan-pts-master"\n/);
  remove(id);
  assert.deepEqual(bench.leftovers(), []);
});

test("pipes of the caller take the place of those that were there before", async () => {
  const { images } = newPlace();
  bench.configure(["sh", "-c", "while read word; do echo got $word; done"]);
  const id = bench.newId();
  const root = ["--root", bench.rootOf(OURS)];
  const options = { cwd: bench.path, stdio: ["pipe", "pipe", "inherit"] as ["pipe", "pipe", "inherit"] };
  const first = spawn("sh", ["-c", `cat | ${[OURS, ...root].join(" ")} run ${id} 2>&1 | cat`], options);
  await until("it runs", () => runc(["state", id]).status === 0 && state(id).status === "running");
  succeed(["checkpoint", "--image-path", images, id]);
  assert.match(textOf(join(images, "descriptors.json")), /^\["pipe:\[\d+\]","pipe:\[\d+\]",/);
  first.stdin.end();
  const line = `cat | ${[OURS, ...root].join(" ")} restore --image-path ${images} ${id} 2>&1 | cat`;
  const second = spawn("sh", ["-c", line], options);
  let output = "";
  second.stdout.on("data", (part: Buffer) => {
    output += part.toString();
  });
  const ended = new Promise((resolve) => second.once("close", resolve));
  second.stdin.end("ping\n");
  await ended;
  assert.equal(output, "got ping\n");
  assert.deepEqual(bench.leftovers(), []);
});

test("binds come back, also through a link and inside another bind whose mount point is gone", async () => {
  const { images } = newPlace();
  const [outer, inner] = [join(bench.path, "outer"), join(bench.path, "inner")];
  for (const place of [outer, inner, join(bench.rootfs, "real")]) mkdirSync(place, { recursive: true });
  symlinkSync("/real", join(bench.rootfs, "link"));
  const id = start(`echo 1 > /test/for/nested/x; ${COUNTING}`, (config: Config) => {
    const bind = (source: string, destination: string) => ({ source, destination, options: ["bind", "rw"] });
    config.mounts.push(bind(outer, "/test"), bind(inner, "/test/for/nested"), bind(inner, "/link/conf"));
  });
  await counted(1);
  succeed(["checkpoint", "--image-path", images, id]);
  for (const name of readdirSync(outer)) rmSync(join(outer, name), { recursive: true });
  succeed(["restore", "--detach", "--image-path", images, id]);
  assert.match(runc(["exec", id, "cat", "/test/for/nested/x", "/real/conf/x"]).stdout, /^1\n1\n$/m);
  remove(id);
  assert.deepEqual(bench.leftovers(), []);
});

describe("a network namespace that is joined by path", () => {
  const name = bench.tag;
  const path = `/run/netns/${name}`;
  const joining = (config: Config) => {
    config.linux.namespaces.find((one: { type: string }) => one.type === "network").path = path;
  };
  const open = () => {
    for (const line of [`netns add ${name}`, `-n ${name} link set lo up`]) spawnSync("ip", line.split(" "));
    return { [Symbol.dispose]: () => void spawnSync("ip", ["netns", "del", name]) };
  };

  test("is the same one afterwards, and a TCP connection in it goes on", async () => {
    using _namespace = open();
    const { images, work } = newPlace();
    const got = join(bench.rootfs, "tmp/got");
    const lines = () => textOf(got).split("\n").filter(Boolean).map(Number);
    const serve = "tail -f /dev/null | nc -l -p 7000 > /tmp/got";
    const say = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done | nc 127.0.0.1 7000";
    const id = start(`(${serve}) & sleep 1; ${say}`, joining);
    await until("it has got some", () => lines().length > 2);
    runc(["checkpoint", "--image-path", images, "--work-path", work, id]);
    assert.match(
      bench.lastError(),
      /^criu failed: type \w+ errno \d+: .*--tcp-established option.*\nlog file: .*work\/dump.log$/,
    );
    const at = lines().length;
    await until("it goes on after the failure", () => lines().length > at);
    const flags = ["--tcp-established", "--image-path", images, "--work-path", work];
    succeed(["checkpoint", ...flags, id]);
    const before = lines().length;
    succeed(["restore", "--detach", ...flags, id]);
    // The words by which this criu lets the network go again are not understood by Debian's iptables.
    spawnSync("ip", ["netns", "exec", name, "nft", "flush", "ruleset"]);
    await until("it goes on", () => lines().length > before + 2);
    assert.deepEqual(
      lines(),
      Array.from(lines(), (_, index) => index + 1),
    );
    const inside = spawnSync("stat", ["-Lc", "%i", path, `/proc/${state(id).pid}/ns/net`], { encoding: "utf8" });
    const [own, theirs] = inside.stdout.trim().split("\n");
    assert.equal(own, theirs);
    remove(id);
  });

  test("and is gone is named, and nothing is left", async () => {
    const { images } = newPlace();
    const id = (() => {
      using _namespace = open();
      const made = start(COUNTING, joining);
      succeed(["checkpoint", "--image-path", images, made]);
      return made;
    })();
    assert.equal(runc(["restore", "--detach", "--image-path", images, id]).status, 1);
    assert.equal(bench.lastError(), `Requested network namespace ${path} does not exist`);
    assert.deepEqual(bench.leftovers(), []);
  });
});

test("hooks of the network run at a restore, those of a start do not", async () => {
  const { images } = newPlace();
  const log = join(bench.path, "hooks");
  const id = start(COUNTING, (config: Config) => {
    const hook = (word: string) => [{ path: "/bin/sh", args: ["sh", "-c", `echo ${word} $(jq -r .status) >> ${log}`] }];
    const words = ["prestart", "createRuntime", "poststart", "poststop"];
    config.hooks = Object.fromEntries(words.map((word) => [word, hook(word)]));
  });
  succeed(["checkpoint", "--image-path", images, id]);
  assert.match(textOf(log), /poststop stopped\n$/);
  rmSync(log);
  succeed(["restore", "--detach", "--image-path", images, id]);
  assert.equal(textOf(log), "prestart creating\ncreateRuntime creating\n");
  remove(id);
});

test("pages are fetched lazily from a page server that says when it is ready", async () => {
  const { images, work } = newPlace();
  const id = start(COUNTING);
  await counted(1);
  const root = ["--root", bench.rootOf(OURS)];
  const line = ["checkpoint", "--lazy-pages", "--page-server", "127.0.0.1:27277", "--status-fd", "3"];
  const dump = spawn(OURS, [...root, ...line, "--image-path", images, "--work-path", work, id], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const dumped = new Promise((resolve) => dump.once("close", resolve));
  const ready = await new Promise<Buffer>((resolve) => dump.stdio[3]!.once("data", resolve));
  assert.deepEqual([...ready], [0]);
  const before = Number(textOf(counter));
  const fetch = spawn(
    "criu",
    ["lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", "27277", "-D", images],
    {
      stdio: "ignore",
    },
  );
  const fetched = new Promise((resolve) => fetch.once("close", resolve));
  const other = bench.newId();
  succeed([
    "restore",
    "--detach",
    "--lazy-pages",
    "--image-path",
    images,
    "--work-path",
    images,
    "--manage-cgroups-mode",
    "ignore",
    other,
  ]);
  await counted(before);
  assert.deepEqual([await dumped, await fetched], [0, 0]);
  remove(other);
  assert.deepEqual(bench.leftovers(), []);
});

test("a failing restore leaves nothing and says why", async () => {
  const { images } = newPlace();
  const id = start(COUNTING);
  succeed(["checkpoint", "--image-path", images, id]);
  const refused = (args: string[], words: RegExp, call: Call = {}) => {
    const result = runc(["restore", "--detach", ...args, id], call);
    assert.equal(result.status, 1);
    assert.match(bench.lastError(), words);
    assert.deepEqual(bench.leftovers(), []);
  };
  const nowhere = join(bench.path, "nowhere");
  refused(["--image-path", nowhere], /^open .*nowhere\/descriptors.json: no such file or directory$/);
  assert.equal(existsSync(nowhere), false);
  refused(["--image-path", images], /^CRIU version check failed: exec: "criu": executable file not found in \$PATH$/, {
    env: { PATH: "/nowhere" },
  });
  refused(["--image-path", images, "--manage-cgroups-mode", "odd"], /^invalid manage-cgroups-mode value$/);
  refused(["--image-path", images, "--empty-ns", "pid"], /^namespace "pid" is not supported$/);
  rmSync(join(images, "core-1.img"));
  refused(["--image-path", images], /^criu failed: type RESTORE errno \d+: .*\nlog file: .*\/restore.log$/);
});

test("what cannot be checkpointed is refused in the original's words", () => {
  bench.configure(["sleep", "60"]);
  const id = bench.newId();
  bench.runc(["create", id]);
  assert.equal(runc(["checkpoint", id]).status, 1);
  assert.equal(bench.lastError(), "Container cannot be checkpointed in created state");
  remove(id);
  runc(["checkpoint", "nobody"]);
  assert.equal(bench.lastError(), "container does not exist");
  const running = start("sleep 60");
  runc(["checkpoint", running], { env: { PATH: "/nowhere" } });
  assert.equal(bench.lastError(), 'CRIU version check failed: exec: "criu": executable file not found in $PATH');
  assert.equal(state(running).status, "running");
  assert.equal(existsSync(join(bench.path, "checkpoint")), false);
  remove(running);
  assert.deepEqual(bench.leftovers(), []);
});
