// Every verb of ctr that reaches a shim, under Debian's containerd and (where it can be had) the newest: once with the
// shim of that release, once with ours. Words, exit codes and the order of events are the same.

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Chain, IMAGE, type Result, Stack, skipReason, until } from "./stack.ts";

const SHIM = "containerd-shim-runc-v2";
const LOOP = "while :; do echo tick; sleep 0.1; done";

/** What each step printed, without what differs from run to run. */
class Transcript {
  readonly steps: Record<string, string> = {};
  readonly #stack: Stack;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  async step(name: string, ...args: string[]): Promise<Result> {
    const result = await this.#stack.ctr(...args);
    this.note(name, `${result.status}\n${result.stdout}${result.stderr}`);
    return result;
  }

  note(name: string, text: string): void {
    this.steps[name] = text
      .replaceAll(this.#stack.folder, "FOLDER")
      .replaceAll(this.#stack.namespace, "NAMESPACE")
      .replace(/^time=.* level=warning msg="DEPRECATION: .*\n/gm, "")
      .replace(/time="[^"]*"/g, "TIME")
      .replace(/\d+(?=[\s"]|$)/gm, (digits) => (digits.length > 2 ? "N" : digits))
      .replace(/ +/g, " ");
    // Tasks are listed in no order.
    if (name.startsWith("ls ")) this.steps[name] = this.steps[name].split("\n").sort().join("\n");
  }
}

async function stopped(stack: Stack, id: string): Promise<void> {
  const line = new RegExp(`^${id}\\s+\\d+\\s+STOPPED`, "m");
  await until(`${id} stops`, async () => line.test((await stack.ctr("tasks", "ls")).stdout));
}

async function remove(transcript: Transcript, id: string): Promise<void> {
  await transcript.step(`rm ${id}`, "tasks", "rm", id);
  await transcript.step(`rm container ${id}`, "containers", "rm", id);
}

async function everyday(stack: Stack, transcript: Transcript): Promise<void> {
  const step = transcript.step.bind(transcript);
  await step("run", "run", "--rm", IMAGE, "a", "sh", "-c", "echo out; exit 7");
  await step("run without a program", "run", "--rm", IMAGE, "b", "/missing");
  await step("run in a missing directory", "run", "--rm", "--cwd", "/etc/passwd/x", IMAGE, "c", "true");
  await step("create", "containers", "create", IMAGE, "d", "sleep", "1000");
  await step("start", "tasks", "start", "-d", "d");
  await step("start again", "tasks", "start", "-d", "d");
  await step("rm a running task", "tasks", "rm", "d");
  await step("exec", "tasks", "exec", "--exec-id", "e1", "d", "sh", "-c", "echo in; exit 3");
  await step("exec of nothing", "tasks", "exec", "--exec-id", "e2", "d", "/nothing");
  await step("exec as nobody", "tasks", "exec", "--exec-id", "e3", "--user", "nobody", "d", "true");
  mkdirSync(join(stack.folder, "fifos"));
  const fifos = join(stack.folder, "fifos");
  await step("exec with FIFOs elsewhere", "tasks", "exec", "--exec-id", "e4", "--fifo-dir", fifos, "d", "echo", "x");
  await step("exec and leave", "tasks", "exec", "-d", "--exec-id", "e5", "d", "sleep", "100");
  await step("kill an exec", "tasks", "kill", "-s", "KILL", "--exec-id", "e5", "d");
  await step("kill an exec that is not there", "tasks", "kill", "--exec-id", "none", "d");
  await step("ps", "tasks", "ps", "d");
  await step("pause", "tasks", "pause", "d");
  await step("pause again", "tasks", "pause", "d");
  await step("exec while paused", "tasks", "exec", "--exec-id", "e6", "d", "true");
  await step("ls while paused", "tasks", "ls");
  await step("rm while paused", "tasks", "rm", "d");
  await step("resume", "tasks", "resume", "d");
  await step("resume again", "tasks", "resume", "d");
  await step("kill with an unknown signal", "tasks", "kill", "-s", "SIGNONE", "d");
  await step("kill", "tasks", "kill", "-s", "KILL", "-a", "d");
  await stopped(stack, "d");
  await step("kill again", "tasks", "kill", "d");
  await step("exec when stopped", "tasks", "exec", "--exec-id", "e7", "d", "true");
  await step("pause when stopped", "tasks", "pause", "d");
  await step("start when stopped", "tasks", "start", "-d", "d");
  await remove(transcript, "d");
}

/** Zeros are left out, and whether these are zero is the kernel's: pages are counted in batches, read when needed. */
const BY_CHANCE = /anon|file|dirty|writeback|cache|maj_fault/;

/** Names of the figures without their values. */
async function figures(stack: Stack, transcript: Transcript): Promise<void> {
  await stack.ctr("run", "-d", "--memory-limit", "50000000", IMAGE, "m", "sleep", "100");
  const { stdout, status } = await stack.ctr("tasks", "metrics", "--format", "json", "m");
  const names = [...stdout.matchAll(/"([a-z_]+)":/g)].map((match) => match[1]!).filter((name) => !BY_CHANCE.test(name));
  transcript.note("metrics", `${status} ${[...new Set(names)].sort().join(" ")}`);
  const table = await stack.ctr("tasks", "metrics", "m");
  transcript.note("metrics table", table.stdout.replace(/\d+/g, "N"));
  await transcript.step("rm -f", "tasks", "rm", "-f", "m");
  await transcript.step("rm container", "containers", "rm", "m");
}

async function streams(stack: Stack, transcript: Transcript): Promise<void> {
  const [file, logged, logger] = ["file.log", "binary.log", "logger.sh"].map((name) => join(stack.folder, name));
  writeFileSync(logger!, '#!/bin/sh\nexec 5>&-\necho "$CONTAINER_ID" >"$2"\ncat <&3 >>"$2"\n');
  chmodSync(logger!, 0o755);
  const script = "echo one; echo two";
  await transcript.step("null io", "run", "-d", "--null-io", IMAGE, "n", "sh", "-c", script);
  await transcript.step("log file", "run", "-d", "--log-uri", `file://${file}`, IMAGE, "f", "sh", "-c", script);
  const uri = `binary://${logger}?file=${logged}`;
  await transcript.step("log program", "run", "-d", "--log-uri", uri, IMAGE, "l", "sh", "-c", script);
  for (const id of ["n", "f", "l"]) {
    await stopped(stack, id);
    await remove(transcript, id);
  }
  await until("the logger's end", () => existsSync(logged!) && readFileSync(logged!, "utf8").endsWith("two\n"));
  transcript.note("logs", readFileSync(file!, "utf8") + readFileSync(logged!, "utf8"));
  await stack.ctr("run", "-d", IMAGE, "t", "sh", "-c", LOOP);
  const attached = stack.ctrInBackground("tasks", "attach", "t");
  const code = new Promise((resolve) => attached.child.once("exit", resolve));
  await until("a tick", () => attached.output().includes("tick\n"));
  await stack.ctr("tasks", "kill", "-s", "KILL", "t");
  transcript.note("attach", String(await code));
  await stack.ctr("tasks", "rm", "t");
  await transcript.step("rm container t", "containers", "rm", "t");
}

async function pods(stack: Stack, transcript: Transcript): Promise<void> {
  const group = ["--annotation", "io.containerd.runc.v2.group=pod"];
  for (const id of ["p1", "p2", "p3"]) await stack.ctr("run", "-d", ...group, IMAGE, id, "sleep", "100");
  transcript.note("shims of a pod", String(stack.shims().length));
  await transcript.step("kill one of a pod", "tasks", "kill", "-s", "KILL", "p1");
  await stopped(stack, "p1");
  await transcript.step("ls of a pod", "tasks", "ls");
  await remove(transcript, "p1");
  await transcript.step("exec in a pod", "tasks", "exec", "--exec-id", "x", "p2", "echo", "still here");
  for (const id of ["p2", "p3"]) await transcript.step(`rm -f ${id}`, "tasks", "rm", "-f", id);
  await until("the pod's shim ends", () => stack.shims().length === 0);
  for (const id of ["p2", "p3"]) await stack.ctr("containers", "rm", id);
}

async function shortOfMemory(stack: Stack): Promise<void> {
  const greedy =
    "head -c 200000000 /dev/zero | (echo 1000 >/proc/self/oom_score_adj; exec tail -c 100000000 >/dev/null)";
  await stack.ctr("run", "-d", "--memory-limit", "20000000", IMAGE, "o", "sh", "-c", greedy);
  await stopped(stack, "o");
  await stack.ctr("tasks", "rm", "o");
  await stack.ctr("containers", "rm", "o");
}

/** The topics of each container, in order. */
function topics(output: string): Map<string, string[]> {
  const of = new Map<string, string[]>();
  for (const line of output.split("\n")) {
    const match = / (\/tasks\/[a-z-]+) .*"container_id":\s*"([^"]+)"/.exec(line);
    if (match !== null) of.set(match[2]!, [...(of.get(match[2]!) ?? []), match[1]!]);
  }
  return of;
}

/** Only ours are looked at: an original shim that ends drops the events that it has not sent yet. */
async function eventsInOrder(output: () => string): Promise<void> {
  await until("the last event", () => /\/tasks\/delete .*"o"/.test(output()));
  const of = topics(output());
  assert.deepEqual([...of.keys()].sort(), ["a", "d", "f", "l", "m", "n", "o", "p1", "p2", "p3", "t"]);
  for (const [id, list] of of) {
    assert.deepEqual(list.slice(0, 2), ["/tasks/create", "/tasks/start"], id);
    assert.deepEqual(list.slice(-2), ["/tasks/exit", "/tasks/delete"], id);
  }
  assert(of.get("o")!.includes("/tasks/oom"));
  const execs = of.get("d")!.filter((topic) => /exec|exit/.test(topic));
  const [whole, refused] = [["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"], ["/tasks/exec-added"]];
  assert.deepEqual(execs, [...whole, ...refused, ...whole, ...whole, ...whole, "/tasks/exit"]);
}

async function transcriptOf(chain: Chain): Promise<Record<string, string>> {
  await using stack = new Stack(chain);
  await stack.start();
  const events = stack.ctrInBackground("events");
  await sleep(500);
  const transcript = new Transcript(stack);
  await everyday(stack, transcript);
  await figures(stack, transcript);
  await streams(stack, transcript);
  await pods(stack, transcript);
  await shortOfMemory(stack);
  if (chain[SHIM] === "ours") await eventsInOrder(events.output);
  events.child.kill();
  await until(`nothing is left: ${stack.leftovers().join("; ")}`, () => stack.leftovers().length === 0);
  return transcript.steps;
}

for (const side of ["original", "newest"] as const) {
  const chain: Chain = { ctr: side, containerd: side, [SHIM]: side, runc: "original" };
  describe(`under the ${side === "newest" ? "newest" : "Debian's"} containerd`, { skip: skipReason(chain) }, () => {
    test("each verb of ctr gets the answers of that release's own shim", async () => {
      const theirs = await transcriptOf(chain);
      const ours = await transcriptOf({ ...chain, [SHIM]: "ours" });
      assert.deepEqual(ours, theirs);
    });
  });
}
