// Taking over: a shim is killed under its container, another one goes on with it. Nothing that the container wrote is
// lost or doubled, its processes' ends are known, and what cannot be taken over is refused with a reason.

import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TaskExit } from "../../api/containerd/gen/task_events.ts";
import { FRAME_END } from "../../api/task/attach.ts";
import { FOREVER, killAgainAndAgain, tellEnd, UNTIL_TOLD } from "./shim-kills.ts";
import { Attached, SHIM, ShimLab, type Spec, skip } from "./shim-lab.ts";
import { type Entry, entriesOf, entriesSoFar, SCHEMES, type Scheme } from "./shim-logs.ts";

const SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Process";

function processOf(args: readonly string[]) {
  const spec = { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
  return { typeUrl: SPEC, value: new Uint8Array(Buffer.from(JSON.stringify(spec))) };
}

/** The streams of a task whose shim writes the log. */
function logged(lab: ShimLab, more = "", scheme: Scheme = "json-file") {
  const uri = `${scheme}://${join(lab.folder, "log")}?attach=${join(lab.folder, "attach.sock")}${more}`;
  return { stdout: uri, stderr: uri };
}

/** Of all files of the log, the oldest first. */
function entries(lab: ShimLab, scheme: Scheme = "json-file"): Entry[] {
  const number = (name: string) => Number(name.split(".")[1] ?? 0);
  const files = readdirSync(lab.folder).filter((name) => /^log(\.\d+)?$/.test(name));
  return files.sort((a, b) => number(b) - number(a)).flatMap((name) => entriesOf(join(lab.folder, name), scheme));
}

/** The numbers of the lines of each stream, whole and in order. */
function assertNumbered(lab: ShimLab, scheme?: Scheme): { stdout: number; stderr: number } {
  const count = { stdout: 0, stderr: 0 };
  for (const { line, stream } of entries(lab, scheme)) assert.equal(line, `${count[stream]++} line`);
  return count;
}

function exits(lab: ShimLab) {
  return lab.events.filter((one) => one.topic === "/tasks/exit").map((one) => TaskExit.decode(one.event!.value));
}

for (const scheme of SCHEMES) {
  test(`${scheme}: no line is lost or doubled by twenty kills of the shim under a container that writes without end`, {
    skip,
  }, async () => {
    await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
    await lab.create(logged(lab, "&max-size=1000000000", scheme));
    await lab.task.start({ id: lab.id });
    await killAgainAndAgain(lab, 20, () => statSync(join(lab.folder, "log")).size);
    const { stdout, stderr } = assertNumbered(lab, scheme);
    assert(stdout > 1000 && Math.abs(stdout - stderr) <= 1);
    await lab.task.delete({ id: lab.id });
    const left = readdirSync(lab.path).filter((name) => name.endsWith(".fifo") || name.endsWith(".journal"));
    assert.deepEqual(left, []);
  });

  test(`${scheme}: no line is lost or doubled where the log is rotated all the time`, { skip }, async () => {
    await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER.replace("1000", "9000")]);
    await lab.create(logged(lab, "&max-size=50000&max-file=500", scheme));
    await lab.task.start({ id: lab.id });
    await killAgainAndAgain(lab, 5, () => readdirSync(lab.folder).length);
    const { stdout, stderr } = assertNumbered(lab, scheme);
    assert(stdout > 100 && Math.abs(stdout - stderr) <= 1);
  });

  test(`${scheme}: a long line that is unfinished when the shim is killed is whole in the log, in parts`, {
    skip,
  }, async () => {
    const line = "i=0; while [ $i -lt 400 ]; do printf '%0100d' $i; i=$((i+1)); usleep 500; done";
    const script = `${line}; ${UNTIL_TOLD}; echo; echo end`;
    await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
    await lab.create(logged(lab, "", scheme));
    await lab.task.start({ id: lab.id });
    for (let round = 0; round < 5; round++) {
      await sleep(25);
      await lab.killShim();
      await lab.adopt();
    }
    tellEnd(lab);
    assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 0);
    const parts = entries(lab, scheme).map(({ line }) => line);
    assert.deepEqual(
      parts.map((part) => part.length),
      [16384, 16384, 40000 - 2 * 16384, 3],
    );
    const expected = Array.from({ length: 400 }, (_, at) => String(at).padStart(100, "0")).join("");
    assert.equal(parts.join(""), `${expected}end`);
  });
}

test("executed processes go on, and their ends are told by the shim that took over", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  const output = join(lab.folder, "exec.txt");
  const script = `i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); usleep 1000; done; ${UNTIL_TOLD}; exit 5`;
  await lab.task.exec({
    id: lab.id,
    execId: "one",
    spec: processOf(["/bin/sh", "-c", script]),
    stdout: `file://${output}`,
  });
  const { pid } = await lab.task.start({ id: lab.id, execId: "one" });
  await lab.task.exec({ id: lab.id, execId: "two", spec: processOf(["/bin/sleep", "100"]) });
  await lab.task.start({ id: lab.id, execId: "two" });
  await lab.killShim();
  await lab.adopt();
  assert.equal((await lab.task.state({ id: lab.id, execId: "one" })).pid, pid);
  tellEnd(lab);
  assert.equal((await lab.task.wait({ id: lab.id, execId: "one" })).exitStatus, 5);
  assert.equal(readFileSync(output, "utf8"), Array.from({ length: 200 }, (_, at) => `${at}\n`).join(""));
  await lab.task.delete({ id: lab.id, execId: "one" });
  await lab.task.kill({ id: lab.id, execId: "two", signal: 15 });
  assert.equal((await lab.task.wait({ id: lab.id, execId: "two" })).exitStatus, 143);
  await lab.task.exec({ id: lab.id, execId: "three", spec: processOf(["/bin/sh", "-c", "exit 9"]) });
  await lab.task.start({ id: lab.id, execId: "three" });
  assert.equal((await lab.task.wait({ id: lab.id, execId: "three" })).exitStatus, 9);
  assert.deepEqual(readdirSync(join(lab.path, "execs")).sort(), ["three", "two"]);
});

test("a process that was executed and never told of is ended by the shim that takes over", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "100"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.task.exec({ id: lab.id, execId: "stray", spec: processOf(["/bin/sleep", "100"]) });
  const { pid } = await lab.task.start({ id: lab.id, execId: "stray" });
  await lab.killShim();
  rmSync(join(lab.path, "execs/stray/process.json"));
  await lab.adopt();
  await lab.eventually("its end", () => !existsSync(`/proc/${pid}`));
  assert.equal((await lab.task.state({ id: lab.id })).status, 2);
});

test("a created, a running and a paused container are taken over as what they are", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  await lab.create(logged(lab));
  const again = async (status: number) => {
    await lab.killShim();
    await lab.adopt();
    assert.equal((await lab.task.state({ id: lab.id })).status, status);
  };
  await again(1);
  await lab.task.start({ id: lab.id });
  await again(2);
  await lab.task.pause({ id: lab.id });
  await again(4);
  await lab.task.resume({ id: lab.id });
  await again(2);
  await lab.task.kill({ id: lab.id, signal: 9 });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
  assertNumbered(lab);
});

test("one shim takes over both containers of a group", { skip }, async () => {
  const grouped = (config: Spec) => void (config.annotations = { "io.kubernetes.cri.sandbox-id": "pod" });
  await using lab = await ShimLab.start(["/bin/sleep", "100"], grouped);
  const other = `${lab.namespace}-b`;
  const bundles = lab.siblings(other, ["/bin/sh", "-c", "sleep 1; exit 6"], grouped);
  await lab.create({ bundle: bundles.first });
  await lab.task.start({ id: lab.id });
  await lab.create({ id: other, bundle: bundles.second });
  await lab.task.start({ id: other });
  await lab.killShim();
  await lab.adopt();
  const before = lab.shimPid;
  const second = lab.startCommand(other, bundles.second, { action: "adopt" });
  assert.deepEqual([second.status, second.stdout.trim()], [0, lab.address], second.stderr);
  assert.equal((await lab.task.connect({ id: other })).shimPid, before);
  assert.equal((await lab.task.state({ id: lab.id })).status, 2);
  assert.equal((await lab.task.wait({ id: other })).exitStatus, 6);
  await lab.task.delete({ id: other });
});

test("a container that ended while no shim was there has its output, and its status if it was held", {
  skip,
}, async () => {
  const script = "trap 'echo last words; exit 3' TERM; echo first; while true; do usleep 1000; done";
  for (const held of [true, false]) {
    await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
    const { pid } = await lab.create(logged(lab));
    await lab.task.start({ id: lab.id });
    await lab.eventually("the first line", () => entriesSoFar(join(lab.folder, "log"), "json-file").length === 1);
    const record = JSON.parse(readFileSync(join(lab.path, "task.json"), "utf8"));
    const open = (path: string) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const pidfd = open(`/proc/${record.holder.shim}/fd/${record.holder.pidfd}`);
    const pipe = open(join(lab.path, "stdout.fifo"));
    await lab.killShim();
    process.kill(pid, "SIGTERM");
    await lab.eventually("its end", () => !existsSync(`/proc/${pid}`));
    await lab.adopt(held ? { pidfd } : {});
    assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, held ? 3 : 255);
    assert.deepEqual(
      entries(lab).map(({ line }) => line),
      ["first", "last words"],
    );
    await lab.eventually("the exit", () => exits(lab).length === 1);
    for (const fd of [pidfd, pipe]) closeSync(fd);
  }
});

test("an exit that nobody had fetched yet is told by the shim that took over", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "exit 42"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  await lab.killShim();
  await lab.adopt();
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 42);
  assert.equal((await lab.task.delete({ id: lab.id })).exitStatus, 42);
});

test("a container with a terminal, with a damaged record or with none is refused, then deleted", { skip }, async () => {
  const damage: readonly (readonly [RegExp, (path: string) => void])[] = [
    [/has no record/, (path) => rmSync(path)],
    [/task.json is damaged/, (path) => writeFileSync(path, '{"version":1,"pid":')],
    [
      /another version/,
      (path) => writeFileSync(path, readFileSync(path, "utf8").replace('"version":1', '"version":2')),
    ],
    [/another boot/, (path) => writeFileSync(path, readFileSync(path, "utf8").replace(/"boot":"[^"]*"/, '"boot":"x"'))],
    [/damaged/, (path) => writeFileSync(path, readFileSync(path, "utf8").replace('"startTime":', '"began":'))],
  ];
  for (const [reason, harm] of damage) {
    await using lab = await ShimLab.start(["/bin/sleep", "100"]);
    const { pid } = await lab.create();
    await lab.task.start({ id: lab.id });
    await lab.killShim();
    harm(join(lab.path, "task.json"));
    const refused = lab.startCommand(lab.id, lab.path, { action: "adopt" });
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, reason);
    assert(existsSync(`/proc/${pid}`), "nothing is killed by asking");
    assert.equal(lab.startCommand(lab.id, lab.path, { action: "delete" }).status, 0);
    await lab.eventually("its end", () => !existsSync(`/proc/${pid}`));
  }
  await using lab = await ShimLab.start(["/bin/sleep", "100"], (config) => void (config.process.terminal = true));
  const { pid } = await lab.create({ terminal: true, stdout: `file://${join(lab.folder, "out")}` });
  await lab.task.start({ id: lab.id });
  await lab.killShim();
  const refused = lab.startCommand(lab.id, lab.path, { action: "adopt" });
  assert.deepEqual([refused.status, /terminal/.test(refused.stderr)], [3, true]);
  assert.equal(lab.startCommand(lab.id, lab.path, { action: "delete" }).status, 0);
  await lab.eventually("its end", () => !existsSync(`/proc/${pid}`));
});

test("the next shim may be another file, as after an upgrade", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  await lab.create(logged(lab));
  await lab.task.start({ id: lab.id });
  const upgraded = join(lab.folder, "containerd-shim-runc-v2");
  copyFileSync(SHIM, upgraded);
  process.kill(lab.shimPid, "SIGTERM");
  await lab.eventually("the shim's end", () => !lab.alive());
  await lab.adopt({ shim: upgraded });
  assert.equal(readFileSync(`/proc/${lab.shimPid}/cmdline`, "utf8").split(/[ \0]/)[0], upgraded);
  await lab.task.kill({ id: lab.id, signal: 9 });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
  assertNumbered(lab);
});

test("attached clients who come back get each line once", { skip }, async () => {
  const script = `${FOREVER.replace("while true", "while [ $n -lt 4000 ]")}; ${UNTIL_TOLD}`;
  await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
  await lab.create(logged(lab));
  const path = join(lab.folder, "attach.sock");
  const texts = ["", "", ""];
  let clients = texts.map(() => new Attached(path, 1));
  const all = (what: string, has: (client: Attached) => boolean) => lab.eventually(what, () => clients.every(has));
  const keep = () => {
    for (const [at, client] of clients.entries()) texts[at] += client.text(1);
  };
  await all("the subscriptions", ({ frames }) => frames.length > 0);
  await lab.task.start({ id: lab.id });
  for (let round = 0; round < 6; round++) {
    await sleep(Math.random() * 20);
    await lab.killShim();
    await all("the ends of the connections", ({ ended }) => ended);
    keep();
    await lab.adopt();
    clients = clients.map((before) => new Attached(path, 1, before));
    await all("the subscriptions", ({ frames }) => frames.length > 0);
  }
  tellEnd(lab);
  await lab.task.wait({ id: lab.id });
  await all("the ends", ({ ended }) => ended);
  assert(clients.every(({ frames }) => frames.at(-1)!.type === FRAME_END));
  keep();
  assert.equal(assertNumbered(lab).stdout, 4000);
  const expected = Array.from({ length: 4000 }, (_, at) => `${at} line\n`).join("");
  for (const text of texts) assert.equal(text, expected);
});
