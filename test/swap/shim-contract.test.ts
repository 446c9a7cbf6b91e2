// What a shim answers to each call in each state of a task, ours beside the original: code and sentence. Both drive
// Debian's runc, so every difference is the shim's. Where ours differs on purpose the call is in MENDED, with the
// reason.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Metrics as MetricsV1 } from "../../api/task/gen/cgroups_v1.ts";
import { Metrics as MetricsV2 } from "../../api/task/gen/cgroups_v2.ts";
import { codeOf, messageOf } from "../../base/errors.ts";
import { ShimLab, type Sides, type Spec, skip } from "../path/shim-lab.ts";
import { newest, skipNewest } from "./newest.ts";

const RUNC = "/usr/sbin/runc";
const ORIGINAL = "/usr/bin/containerd-shim-runc-v2";
const PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

const MENDED = new Map([
  ["create again", "already_exists, before the runtime is asked"],
  ["exec-failed state", "the runtime refused it: it has ended with 255, not 'created' for ever"],
  ["exec-failed kill 0", "the same"],
  ["exec-failed kill 99", "the same"],
  ["exec-failed resize", "the same"],
  ["exec-failed wait", "255 instead of a success at no time"],
  ["exec-failed delete", "255 instead of a success at no time"],
  ["created update garbage", "the runtime's own sentence"],
  ["running update garbage", "the runtime's own sentence"],
  ["paused update garbage", "the runtime's own sentence"],
  ["exec garbage", "said by another parser"],
  ["stopped pids", "no empty list: containerd 2.x would take the shim for one without a task and remove it"],
]);

type Answers = Map<string, string>;

function any(typeUrl: string, value: unknown) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return { typeUrl, value: new Uint8Array(Buffer.from(text)) };
}

function processOf(...args: string[]) {
  return any(PROCESS, { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } });
}

/** What differs from run to run and from release to release is taken out. */
function comparable(key: string, value: unknown): unknown {
  if (key === "pid" || key === "shimPid" || key === "taskPid") return value === 0 ? 0 : "a pid";
  if (key === "execId") return "";
  if (key === "exitedAt") {
    const time = value as { seconds: string } | null;
    return time === null || Number(time.seconds) < 0 ? "no time" : "a time";
  }
  if (key === "stats") return (value as { typeUrl: string }).typeUrl;
  if (key === "processes") return "pids";
  return typeof value === "bigint" ? String(value) : value;
}

function sentence(thrown: unknown): string {
  return `${codeOf(thrown)}: ${messageOf(thrown)}`
    .replace(/: (not found|failed precondition|already exists)$/, "")
    .replace(/\S*runc did not terminate successfully: exit status 1: /, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}

class Asker {
  readonly answers: Answers = new Map();
  readonly #lab: ShimLab;

  constructor(lab: ShimLab) {
    this.#lab = lab;
  }

  async ask(name: string, call: Promise<unknown>): Promise<void> {
    const answer = await call.then((value) => JSON.stringify(value, comparable), sentence);
    const { namespace, path } = this.#lab;
    assert(!this.answers.has(name), name);
    this.answers.set(name, answer.replaceAll(path, "BUNDLE").replaceAll(namespace, "NS"));
  }

  /** The calls that change nothing, in one state. */
  async everything(state: string, execId = ""): Promise<void> {
    const { task, id } = this.#lab;
    // What runs is not waited for; what has ended may take its time on a slow machine.
    const timeout = /stopped|failed/.test(state) ? 20_000 : 100;
    await this.ask(`${state} state`, task.state({ id, execId }));
    await this.ask(`${state} kill 0`, task.kill({ id, execId, signal: 0 }));
    await this.ask(`${state} kill 99`, task.kill({ id, execId, signal: 99 }));
    await this.ask(`${state} resize`, task.resizePty({ id, execId, width: 80, height: 24 }));
    await this.ask(`${state} closeIO`, task.closeIO({ id, execId, stdin: true }));
    await this.ask(`${state} connect`, task.connect({ id }));
    await this.ask(`${state} stats`, task.stats({ id }));
    await this.ask(`${state} pids`, task.pids({ id }));
    await this.ask(`${state} wait`, task.wait({ id, execId }, { timeout }));
    if (execId !== "") return;
    await this.ask(`${state} update`, task.update({ id, resources: any(RESOURCES, { pids: { limit: 50 } }) }));
    await this.ask(`${state} update garbage`, task.update({ id, resources: any(RESOURCES, "{garbage") }));
  }
}

/** The whole life of a container. What makes an original shim crash is left out: it would end the comparison. */
async function life(sides: Sides): Promise<Answers> {
  await using lab = await ShimLab.start(["/bin/sleep", "100"], () => {}, { runc: RUNC, ...sides });
  const asker = new Asker(lab);
  await beforeStart(lab, asker);
  await asker.ask("start", lab.task.start({ id: lab.id }));
  await running(lab, asker);
  await paused(lab, asker);
  await ended(lab, asker);
  return asker.answers;
}

async function beforeStart(lab: ShimLab, asker: Asker): Promise<void> {
  const { task, id } = lab;
  await asker.everything("none");
  for (const call of ["start", "delete", "pause", "resume"] as const)
    await asker.ask(`none ${call}`, task[call]({ id }));
  await asker.ask("none exec", task.exec({ id, execId: "x", spec: processOf("/bin/true") }));
  await asker.ask("create with a strange scheme", lab.create({ stdout: "gopher:///x" }));
  await asker.ask("create", lab.create());
  await asker.ask("create again", lab.create());
  await asker.everything("created");
  await asker.ask("created pause", task.pause({ id }));
  await asker.ask("created resume", task.resume({ id }));
  await asker.ask("created checkpoint", task.checkpoint({ id, path: "/nowhere/x" }));
  await asker.ask("created exec", task.exec({ id, execId: "early", spec: processOf("/bin/sleep", "100") }));
  await asker.ask("created exec state", task.state({ id, execId: "early" }));
  await asker.ask("created exec delete", task.delete({ id, execId: "early" }));
}

async function running({ task, id }: ShimLab, asker: Asker): Promise<void> {
  await asker.everything("running");
  for (const call of ["start", "delete", "resume"] as const) await asker.ask(`running ${call}`, task[call]({ id }));
  await asker.ask("running shutdown", task.shutdown({ id }));
  await asker.ask("exec garbage", task.exec({ id, execId: "g", spec: any(PROCESS, "{") }));
  await asker.ask("exec", task.exec({ id, execId: "e", spec: processOf("/bin/sleep", "100") }));
  await asker.ask("exec again", task.exec({ id, execId: "e", spec: processOf("/bin/sleep", "100") }));
  await asker.everything("exec-created", "e");
  await asker.ask("exec-created start", task.start({ id, execId: "e" }));
  await asker.ask("exec-running delete", task.delete({ id, execId: "e" }));
  await asker.everything("exec-running", "e");
}

async function paused({ task, id }: ShimLab, asker: Asker): Promise<void> {
  await asker.ask("pause", task.pause({ id }));
  await asker.everything("paused");
  for (const call of ["pause", "start", "delete"] as const) await asker.ask(`paused ${call}`, task[call]({ id }));
  await asker.ask("paused exec", task.exec({ id, execId: "p", spec: processOf("/bin/true") }));
  await asker.ask("paused exec state", task.state({ id, execId: "e" }));
  await asker.ask("paused exec delete", task.delete({ id, execId: "e" }));
  await asker.ask("resume", task.resume({ id }));
}

async function ended({ task, id }: ShimLab, asker: Asker): Promise<void> {
  await asker.ask("kill exec", task.kill({ id, execId: "e", signal: 9 }));
  await asker.ask("wait exec", task.wait({ id, execId: "e" }));
  await asker.everything("exec-stopped", "e");
  await asker.ask("exec-stopped delete", task.delete({ id, execId: "e" }));
  await asker.ask("exec-deleted delete", task.delete({ id, execId: "e" }));
  await asker.ask("exec-deleted start", task.start({ id, execId: "e" }));
  await asker.ask("never started", task.exec({ id, execId: "n", spec: processOf("/bin/true") }));
  await asker.ask("kill", task.kill({ id, signal: 9 }));
  await asker.ask("wait", task.wait({ id }));
  await asker.everything("stopped");
  for (const call of ["start", "pause", "resume"] as const) await asker.ask(`stopped ${call}`, task[call]({ id }));
  await asker.ask("stopped checkpoint", task.checkpoint({ id, path: "/nowhere/x" }));
  await asker.ask("stopped exec", task.exec({ id, execId: "x", spec: processOf("/bin/true") }));
  await asker.ask("never started state", task.state({ id, execId: "n" }));
  await asker.ask("delete", task.delete({ id }));
  await asker.everything("deleted");
}

/** An exec that the runtime refuses, at the end of a life of its own: a newer original falls over it later. */
async function refusedExec(sides: Sides): Promise<Answers> {
  await using lab = await ShimLab.start(["/bin/sleep", "100"], () => {}, { runc: RUNC, ...sides });
  const asker = new Asker(lab);
  const { task, id } = lab;
  await lab.create();
  await task.start({ id });
  await asker.ask("exec", task.exec({ id, execId: "f", spec: processOf("/bin/missing") }));
  await asker.ask("exec start", task.start({ id, execId: "f" }));
  await asker.everything("exec-failed", "f");
  await asker.ask("exec-failed delete", task.delete({ id, execId: "f" }));
  return asker.answers;
}

function compare(ours: Answers, theirs: Answers): void {
  const kept = (answers: Answers) => Object.fromEntries([...answers].filter(([name]) => !MENDED.has(name)));
  assert.deepEqual(kept(ours), kept(theirs));
}

/** What Stats tells of a container with limits, without the figures that change. */
async function figures(sides: Sides, pressure: boolean): Promise<unknown> {
  const limits = (config: Spec) => {
    config.linux.resources["memory"] = { limit: 64 << 20, swap: 80 << 20 };
    config.linux.resources["pids"] = { limit: 77 };
  };
  const busy = ["/bin/sh", "-c", "dd if=/dev/zero of=/file bs=1M count=8; cat /file > /dev/null; exec sleep 100"];
  await using lab = await ShimLab.start(busy, limits, { runc: RUNC, ...sides });
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.eventually("the file", () => existsSync(join(lab.path, "rootfs/file")));
  const { typeUrl, value } = (await lab.task.stats({ id: lab.id })).stats!;
  const unified = typeUrl === MetricsV2.typeName;
  const decoded = unified ? MetricsV2.decode(value) : MetricsV1.decode(value);
  const fixed = new Set(["limit", "usageLimit", "swapLimit", "pagesize", "op", "device", "major", "minor"]);
  const plain = JSON.stringify(decoded, (key, one: unknown) => {
    if (key === "psi" && !pressure) return null;
    if (typeof one === "bigint" || typeof one === "number") return fixed.has(key) ? String(one) : "a number";
    return one;
  });
  const told = JSON.parse(plain) as { hugetlb: { pagesize: string }[] };
  // The original tells sizes of huge pages in the random order of a Go map.
  told.hugetlb.sort((one, other) => one.pagesize.localeCompare(other.pagesize));
  return { typeUrl, figures: told };
}

const DEBIAN: Sides = { shim: ORIGINAL, second: true };
const NEWEST: Sides = { shim: newest?.shim ?? "", bootstraps: true };
const originals = [
  { name: "Debian's shim", sides: DEBIAN, skip: existsSync(ORIGINAL) ? skip : "not there" },
  { name: "the newest shim", sides: NEWEST, skip: skip === false ? skipNewest : skip },
];

for (const original of originals) {
  describe(`beside ${original.name}`, { skip: original.skip }, () => {
    test("each call in each state of a task gets the same answer", async () => {
      compare(await life({}), await life(original.sides));
    });

    test("a container's figures have the same fields, and the limits the same values", async () => {
      // 1.6 knows no pressure.
      const pressure = original.sides.second !== true;
      assert.deepEqual(await figures({}, pressure), await figures(original.sides, pressure));
    });

    test("an exec that the runtime refuses is refused in the same words", async () => {
      compare(await refusedExec({}), await refusedExec(original.sides));
    });
  });
}

test("what crashes an original shim is refused here, and the container goes on", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  const { task, id } = lab;
  await lab.create();
  await task.start({ id });
  await assert.rejects(task.update({ id }), /the resources are missing/);
  await assert.rejects(task.exec({ id, execId: "a" }), /a process to execute is missing/);
  await assert.rejects(task.exec({ id, execId: "", spec: processOf("/bin/true") }), /exec id "" is not valid/);
  await task.exec({ id, execId: "f", spec: processOf("/bin/missing") });
  await assert.rejects(task.start({ id, execId: "f" }), /OCI runtime exec failed/);
  await assert.rejects(task.start({ id, execId: "f" }), /cannot start a stopped process/);
  // One that runs, started again, makes a shim of 2.4 count its execs wrongly and fall over the container's end.
  await task.exec({ id, execId: "e", spec: processOf("/bin/sleep", "100") });
  await task.start({ id, execId: "e" });
  await assert.rejects(task.start({ id, execId: "e" }), /cannot start a running process/);
  await task.kill({ id, execId: "e", signal: 9 });
  await task.wait({ id, execId: "e" });
  await assert.rejects(task.start({ id, execId: "e" }), /cannot start a stopped process/);
  assert.equal((await task.state({ id })).status, 2);
});
