// The chain ctr, containerd, shim, runc with one or more hops replaced by ours: each combination runs the same stories.
// A hop that is not built leaves its combinations out. `CHAIN=shim` narrows to chains whose our-side names contain it.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Chain, describeChain, type Hop, IMAGE, Stack, skipReason, until } from "./stack.ts";

const ALL_ORIGINAL: Chain = {
  ctr: "original",
  containerd: "original",
  "containerd-shim-runc-v2": "original",
  runc: "original",
};
const SHIM = "containerd-shim-runc-v2";
const replaced: readonly (readonly Hop[])[] = [
  [],
  ["runc"],
  [SHIM],
  [SHIM, "runc"],
  ["containerd"],
  ["containerd", SHIM],
  ["containerd", SHIM, "runc"],
  ["ctr"],
  ["ctr", "containerd", SHIM, "runc"],
];

/** The newest daemon and client, which only the environment can bring. */
const UPSTREAM: Chain = { ...ALL_ORIGINAL, ctr: "newest", containerd: "newest" };
const upstream: readonly Chain[] = [
  { ...UPSTREAM, [SHIM]: "ours" },
  { ...UPSTREAM, [SHIM]: "ours", runc: "ours" },
];

const narrow = process.env["CHAIN"];
for (const chain of upstream) {
  if (narrow !== undefined && narrow !== "newest") continue;
  describe(`under ${describeChain(chain)}`, { skip: skipReason(chain) }, () => stories(chain));
}
for (const hops of replaced) {
  const chain = { ...ALL_ORIGINAL, ...Object.fromEntries(hops.map((hop) => [hop, "ours"])) } as Chain;
  if (narrow !== undefined && hops.join("+") !== narrow) continue;
  describe(`under ${describeChain(chain)}`, { skip: skipReason(chain) }, () => stories(chain));
}

function stories(chain: Chain): void {
  const stack = new Stack(chain);
  before(() => stack.start());
  after(() => stack[Symbol.asyncDispose]());
  attachedRuns(stack);
  detachedTasks(stack);
  survival(stack);
  test("nothing is left behind: no shim, mount, bundle, runtime state or cgroup", async () => {
    await until(`leftovers ${stack.leftovers().join("; ")}`, () => stack.leftovers().length === 0).catch(() => {});
    assert.deepEqual(stack.leftovers(), []);
  });
}

/** ctr 1.6 throws away what it has not read of the output when it hears of the exit. */
const AND_STAY = "; sleep 1";

function attachedRuns(stack: Stack): void {
  test("a run prints both outputs and gives the exit code", async () => {
    const result = await stack.ctr("run", "--rm", IMAGE, "one", "sh", "-c", "echo out; echo err >&2; exit 7");
    // The newest ctr has a warning for machines with cgroup v1.
    const stderr = result.stderr.replace(/^time=.* level=warning msg="DEPRECATION: .*\n/m, "");
    assert.deepEqual({ ...result, stderr }, { status: 7, stdout: "out\n", stderr: "err\n" });
  });

  test("input arrives whole and its end ends the reader", async () => {
    const input = `${"0123456789abcdef".repeat(64)}\n`.repeat(200);
    const result = await stack.ctrWith(input, "run", "--rm", IMAGE, "two", "sh", "-c", `cat${AND_STAY}`);
    assert.equal(result.stdout.length, input.length);
    assert.equal(result.stdout, input);
  });

  test("megabytes of output lose nothing", async () => {
    const script = "i=0; while [ $i -lt 20000 ]; do echo line $i of many that are all different; i=$((i+1)); done";
    const result = await stack.ctr("run", "--rm", IMAGE, "three", "sh", "-c", script + AND_STAY);
    const lines = result.stdout.trimEnd().split("\n");
    assert.equal(lines.length, 20000);
    assert(lines.every((line, at) => line === `line ${at} of many that are all different`));
  });

  test("a terminal is a terminal with the size it is given", async () => {
    // ctr wants a terminal of its own: script gives it one.
    const script = `stty rows 41 cols 99; sleep 0.2; exec "$@"`;
    // The size comes after the start.
    const wait =
      'i=0; while [ "$(stty size)" != "41 99" ] && [ $((i+=1)) -lt 100 ]; do sleep 0.1; done; stty size; tty; exit 3';
    const ctr = ["ctr", "--address", stack.address, "--namespace", stack.namespace];
    const program = stack.chain.ctr === "original" ? ctr : [`${process.cwd()}/dist/bin/ctr`, ...ctr.slice(1)];
    const inner = [...program, "run", "--rm", "-t", IMAGE, "four", "sh", "-c", wait];
    const quoted = ["sh", "-c", script, "sh", ...inner].map((word) => `'${word}'`).join(" ");
    const { execFile } = await import("node:child_process");
    const [status, output] = await new Promise<[number, string]>((resolve) => {
      const child = execFile("script", ["-qefc", quoted, "/dev/null"], { timeout: 30_000 }, (error, stdout) =>
        resolve([error === null ? 0 : Number(error.code), stdout]),
      );
      // Its input stays open: script ends its command when that ends.
      child.on("exit", () => child.stdin?.end());
    });
    assert.match(output, /41 99\r+\n\/dev\/(pts\/0|console)\r+\n/);
    assert.equal(status, 3);
  });

  test("a missing program is named, with nothing left of it", async () => {
    const result = await stack.ctr("run", "--rm", IMAGE, "five", "/no/such/program");
    assert.notEqual(result.status, 0);
    assert.match(
      result.stderr,
      /exec: \\?"\/no\/such\/program\\?": stat \/no\/such\/program: no such file or directory/,
    );
    const word = await stack.ctr("run", "--rm", IMAGE, "six", "nosuchprogram");
    assert.match(word.stderr, /exec: \\?"nosuchprogram\\?": executable file not found in \$PATH/);
  });
}

function detachedTasks(stack: Stack): void {
  test("a detached task is listed, entered, signalled and deleted, and events tell it in order", async () => {
    const events = stack.ctrInBackground("events");
    await sleep(300);
    assert.equal(
      (await stack.ctr("run", "-d", IMAGE, "seven", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done"))
        .status,
      0,
    );
    assert.match((await stack.ctr("tasks", "ls")).stdout, /^seven\s+\d+\s+RUNNING$/m);
    const run = await stack.ctr(
      "tasks",
      "exec",
      "--exec-id",
      "x1",
      "seven",
      "sh",
      "-c",
      "echo inside; hostname; exit 4",
    );
    assert.equal(run.status, 4);
    assert.match(run.stdout, /^inside\n/);
    const piped = await stack.ctrWith("to the reader\n", "tasks", "exec", "--exec-id", "x2", "seven", "cat");
    assert.deepEqual([piped.status, piped.stdout], [0, "to the reader\n"]);
    const missing = await stack.ctr("tasks", "exec", "--exec-id", "x3", "seven", "/nothing");
    assert.match(missing.stderr, /exec: \\?"\/nothing\\?": stat \/nothing: no such file or directory/);
    assert.match((await stack.ctr("tasks", "ps", "seven")).stdout, /^PID\s+INFO\n(\d+\s+.*\n)+/);
    assert.match((await stack.ctr("tasks", "metrics", "seven")).stdout, /pids|memory/i);
    assert.equal((await stack.ctr("tasks", "pause", "seven")).status, 0);
    assert.match((await stack.ctr("tasks", "ls")).stdout, /PAUSED/);
    assert.equal((await stack.ctr("tasks", "resume", "seven")).status, 0);
    assert.equal((await stack.ctr("tasks", "kill", "seven")).status, 0);
    await until("the task stops", async () => /STOPPED/.test((await stack.ctr("tasks", "ls")).stdout));
    assert.equal(await removeTask(stack, "seven"), 9);
    assert.equal((await stack.ctr("containers", "rm", "seven")).status, 0);
    await until("the last event", () => events.output().includes("/tasks/delete"));
    events.child.kill();
    const topics = events.output().match(/\/tasks\/[a-z-]+/g);
    assert.deepEqual(
      topics
        ?.filter((topic) => !/exec|paused|resumed/.test(topic))
        .filter((topic, at, all) => topic !== "/tasks/exit" || all.lastIndexOf(topic) === at),
      ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"],
    );
    assert(topics!.indexOf("/tasks/exec-added") < topics!.indexOf("/tasks/exec-started"));
    assert(topics!.indexOf("/tasks/exec-started") < topics!.indexOf("/tasks/exit"));
    assert(topics!.indexOf("/tasks/paused") < topics!.indexOf("/tasks/resumed"));
  });

  test("a task killed by a signal gives 128 and the signal", async () => {
    assert.equal((await stack.ctr("run", "-d", IMAGE, "eight", "sleep", "1000")).status, 0);
    assert.equal((await stack.ctr("tasks", "kill", "-s", "SIGKILL", "eight")).status, 0);
    await until("the task stops", async () => /eight\s+\d+\s+STOPPED/.test((await stack.ctr("tasks", "ls")).stdout));
    assert.equal(await removeTask(stack, "eight"), 137);
    assert.equal((await stack.ctr("containers", "rm", "eight")).status, 0);
  });

  test("ten containers at once each get their own output and code", async () => {
    const runs = await Promise.all(
      Array.from({ length: 10 }, (_, at) =>
        stack.ctr("run", "--rm", IMAGE, `many${at}`, "sh", "-c", `sleep 0.2; echo ${at}; exit ${at}`),
      ),
    );
    assert.deepEqual(
      runs.map(({ status, stdout }) => [status, stdout]),
      runs.map((_, at) => [at, `${at}\n`]),
    );
  });
}

/** ctr gives 0 and says the code in a warning. */
async function removeTask(stack: Stack, id: string, ...flags: readonly string[]): Promise<number> {
  const result = await stack.ctr("tasks", "rm", ...flags, id);
  assert.equal(result.status, 0, result.stderr);
  return Number(/exit with non-zero exit code (\d+)/.exec(result.stderr)?.[1] ?? 0);
}

function survival(stack: Stack): void {
  // Of our own two programs the one starts another shim, which takes over (test/path/shim-adopt.test.ts).
  const { containerd, "containerd-shim-runc-v2": shim } = stack.chain;
  if (containerd === "ours" && shim === "ours") takenOver(stack);
  else lost(stack);

  test("containers outlive a killed containerd; it finds them again, with the exit of one that ended", async () => {
    assert.equal((await stack.ctr("run", "-d", IMAGE, "nine", "sleep", "1000")).status, 0);
    assert.equal((await stack.ctr("run", "-d", IMAGE, "ten", "sh", "-c", "sleep 1; exit 5")).status, 0);
    const before = (await stack.ctr("tasks", "ls")).stdout;
    const pid = Number(/^nine\s+(\d+)/m.exec(before)?.[1]);
    await stack.stopContainerd("SIGKILL");
    await sleep(1500);
    assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /^sleep/);
    await stack.startContainerd();
    const found = (await stack.ctr("tasks", "ls")).stdout;
    assert.match(found, new RegExp(`^nine\\s+${pid}\\s+RUNNING$`, "m"));
    assert.match(found, /^ten\s+\d+\s+STOPPED$/m);
    assert.equal((await stack.ctr("tasks", "exec", "--exec-id", "after", "nine", "true")).status, 0);
    assert.equal(await removeTask(stack, "ten"), 5);
    assert.equal(await removeTask(stack, "nine", "-f"), 137);
    assert.equal((await stack.ctr("containers", "rm", "nine", "ten")).status, 0);
  });
}

function lost(stack: Stack): void {
  test("a killed shim takes its task with it, truly: told by an event, no process, nothing left", async () => {
    const events = stack.ctrInBackground("events");
    await sleep(300);
    assert.equal((await stack.ctr("run", "-d", IMAGE, "eleven", "sleep", "1000")).status, 0);
    const pid = Number(/^eleven\s+(\d+)/m.exec((await stack.ctr("tasks", "ls")).stdout)?.[1]);
    const [shim] = stack.shims();
    process.kill(shim!, "SIGKILL");
    await until("the exit is told", () => events.output().includes("/tasks/exit"));
    events.child.kill();
    await until("the process is gone", () => !existsSync(`/proc/${pid}`));
    await until(
      "the task is gone or stopped",
      async () => !/eleven.*RUNNING/.test((await stack.ctr("tasks", "ls")).stdout),
    );
    await stack.ctr("tasks", "rm", "eleven");
    assert.equal((await stack.ctr("containers", "rm", "eleven")).status, 0);
  });
}

function takenOver(stack: Stack): void {
  test("a killed shim is followed by another one, and nobody sees more of it than that", async () => {
    const events = stack.ctrInBackground("events");
    await sleep(300);
    assert.equal((await stack.ctr("run", "-d", IMAGE, "eleven", "sleep", "1000")).status, 0);
    const listed = (await stack.ctr("tasks", "ls")).stdout;
    const [killed] = stack.shims();
    process.kill(killed!, "SIGKILL");
    await until("another shim", () => stack.shims().some((pid) => pid !== killed));
    assert.equal((await stack.ctr("tasks", "exec", "--exec-id", "after", "eleven", "true")).status, 0);
    assert.equal((await stack.ctr("tasks", "ls")).stdout, listed);
    assert.doesNotMatch(events.output(), /tasks\/exit.*"eleven"[^\n]*"eleven"/);
    events.child.kill();
    assert.equal(await removeTask(stack, "eleven", "-f"), 137);
    assert.equal((await stack.ctr("containers", "rm", "eleven")).status, 0);
  });
}
