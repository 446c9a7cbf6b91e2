// Taking over: a shim is killed under its container, another one goes on with it. Nothing that the container wrote is
// lost or doubled, its processes' ends are known, and what cannot be taken over is refused with a reason.

import assert from "node:assert/strict";
import { copyFileSync, existsSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TaskExit } from "../../api/containerd/gen/task_events.ts";
import { Attached, SHIM, ShimLab, skip } from "./shim-lab.ts";

const SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Process";

function processOf(args: readonly string[]) {
  const spec = { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
  return { typeUrl: SPEC, value: new Uint8Array(Buffer.from(JSON.stringify(spec))) };
}

/** The streams of a task whose shim writes the log. */
function logged(lab: ShimLab, more = "") {
  const uri = `json-file://${join(lab.folder, "log.json")}?attach=${join(lab.folder, "attach.sock")}${more}`;
  return { stdout: uri, stderr: uri };
}

function lines(lab: ShimLab, files: readonly string[] = ["log.json"]): { log: string; stream: string }[] {
  const whole = files.map((name) => join(lab.folder, name)).filter(existsSync);
  const text = whole.map((path) => readFileSync(path, "utf8")).join("");
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { log: string; stream: string });
}

/** The numbers of the lines of each stream, whole and in order. */
function assertNumbered(lab: ShimLab, files?: readonly string[]): { stdout: number; stderr: number } {
  const count = { stdout: 0, stderr: 0 };
  for (const { log, stream } of lines(lab, files)) {
    const name = stream as "stdout" | "stderr";
    assert.equal(log, `${count[name]} line\n`);
    count[name]++;
  }
  return count;
}

function exits(lab: ShimLab) {
  return lab.events.filter((one) => one.topic === "/tasks/exit").map((one) => TaskExit.decode(one.event!.value));
}

/** Without end, in bursts of forty numbered lines on each stream. */
const FOREVER = `n=0; while true; do
for i in 0 1 2 3 4 5 6 7 8 9; do for j in 0 1 2 3; do echo $n line; echo $n line >&2; n=$((n+1)); done; done
usleep 1000; done`;

async function killAgainAndAgain(lab: ShimLab, rounds: number, written: () => number): Promise<void> {
  const { pid } = await lab.task.state({ id: lab.id });
  for (let round = 0; round < rounds; round++) {
    await sleep(Math.random() * 60);
    await lab.killShim();
    const before = written();
    await lab.adopt();
    const state = await lab.task.state({ id: lab.id });
    assert.deepEqual([state.status, state.pid], [2, pid]);
    await lab.eventually("new lines", () => written() > before);
  }
  await lab.task.kill({ id: lab.id, signal: 9, all: true });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
}

test("a container that writes without end loses and doubles no line by twenty kills of its shim", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  await lab.create(logged(lab, "&max-size=1000000000"));
  await lab.task.start({ id: lab.id });
  await killAgainAndAgain(lab, 20, () => statSync(join(lab.folder, "log.json")).size);
  const { stdout, stderr } = assertNumbered(lab);
  assert(stdout > 1000 && Math.abs(stdout - stderr) <= 1);
  await lab.task.delete({ id: lab.id });
  const left = readdirSync(lab.path).filter((name) => name.endsWith(".fifo") || name.endsWith(".journal"));
  assert.deepEqual(left, []);
});

test("no line is lost or doubled where the log is rotated all the time", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  await lab.create(logged(lab, "&max-size=50000&max-file=500"));
  await lab.task.start({ id: lab.id });
  const files = () => readdirSync(lab.folder).filter((name) => name.startsWith("log.json"));
  await killAgainAndAgain(lab, 5, () => files().length);
  const number = (name: string) => Number(name.split(".")[2] ?? 0);
  const { stdout, stderr } = assertNumbered(
    lab,
    files().sort((a, b) => number(b) - number(a)),
  );
  assert(stdout > 100 && Math.abs(stdout - stderr) <= 1);
});
