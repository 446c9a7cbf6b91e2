// Commands on one container at the same time, as separate processes: exactly one makes it, one starts it, one deletes
// it; the others say why not. No crash, no hang, nothing left.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, OURS } from "../bundle.ts";
import { Random } from "../fuzz/random.ts";
import { CrashLab } from "./runc/lab.ts";

const lab = new CrashLab();
after(() => lab[Symbol.dispose]());
const ROUNDS = 15;
const LIMIT = 30_000;
/** What a command may say when another was quicker. */
const SENSIBLE = [
  "container with given ID already exists",
  "container does not exist",
  "container not running",
  "container not paused",
  "cannot start an already running container",
  "cannot start a container that has stopped",
  "container process is already dead",
  "cannot exec in a stopped container",
  "cannot exec in a paused container",
  "is not stopped",
  "no such file or directory",
  "no such device",
  "no such process",
  "before its program began",
  "another command",
];

interface Ended {
  words: string;
  status: number | null;
  signal: string | null;
  said: string;
}

let count = 0;

function start(args: readonly string[]): { done: Promise<Ended>; kill(): void } {
  const log = join(lab.path, `log-${++count}`);
  const line = ["--root", lab.rootOf(OURS), "--log", log, "--log-format", "json", ...args];
  const child = spawn(OURS, line, { cwd: lab.path, stdio: "ignore", timeout: LIMIT, killSignal: "SIGKILL" });
  const done = new Promise<Ended>((resolve) =>
    child.once("close", (status, signal) => {
      const said = existsSync(log) ? readFileSync(log, "utf8") : "";
      rmSync(log, { force: true });
      resolve({ words: args.join(" "), status, signal, said });
    }),
  );
  return { done, kill: () => child.kill("SIGKILL") };
}

/** All at once; what is no sensible end fails the test. */
async function together(...lines: readonly (readonly string[])[]): Promise<Ended[]> {
  const ends = await Promise.all(lines.map((line) => start(line).done));
  for (const { words, status, signal, said } of ends) {
    assert.equal(signal, null, `${words} hangs`);
    // From 128 on it is the end of the program that exec added: the container was killed around it.
    const sensible = status === 0 || (status ?? 0) >= 128 || SENSIBLE.some((sentence) => said.includes(sentence));
    assert.ok(sensible, `${words} ends with ${status}: ${said}`);
  }
  return ends;
}

const succeeded = (ends: readonly Ended[], word: string) =>
  ends.filter(({ words, status }) => words.startsWith(word) && status === 0).length;

async function clear(id: string): Promise<void> {
  const { status, said } = await start(["delete", "--force", id]).done;
  assert.equal(status, 0, said);
  assert.deepEqual(lab.remains(), []);
}

test("a start that is killed before the container could tell it leaves one that another start starts", async () => {
  lab.configure(["sleep", "60"]);
  const id = lab.newId();
  assert.equal((await start(["create", id]).done).status, 0);
  const state = () => JSON.parse(lab.runc(["state", id]).stdout) as { status: string; pid: number };
  // Who opens the FIFO and goes at once lets the container go on; on a processor that it does not get before that it
  // finds nobody.
  spawnSync("taskset", ["-cp", "0", String(state().pid)]);
  const opener = [": <", join(lab.rootOf(OURS), id, "exec.fifo")].join(" ");
  const { status } = spawnSync("taskset", ["-c", "0", "chrt", "-f", "50", "sh", "-c", opener]);
  assert.equal(status, 0);
  await sleep(50);
  assert.equal(state().status, "created");
  const ended = await start(["start", id]).done;
  assert.equal(ended.status, 0, ended.said);
  assert.equal(state().status, "running");
  await clear(id);
});

test("of creates with one id exactly one wins, and the others say that it is taken", async () => {
  lab.configure(["sleep", "60"]);
  const id = lab.newId();
  for (let round = 0; round < ROUNDS; round++) {
    const ends = await together(...Array.from({ length: 5 }, () => ["create", id]));
    assert.equal(succeeded(ends, "create"), 1);
    for (const { status, said } of ends) if (status !== 0) assert.match(said, /container with given ID already exists/);
    assert.equal(lab.status(id), "created");
    await clear(id);
  }
});

test("of starts exactly one wins", async () => {
  lab.configure(["sleep", "60"]);
  const id = lab.newId();
  for (let round = 0; round < ROUNDS; round++) {
    assert.equal(lab.runc(["create", id]).status, 0);
    const ends = await together(["start", id], ["start", id], ["start", id]);
    assert.equal(succeeded(ends, "start"), 1);
    assert.equal(lab.status(id), "running");
    await clear(id);
  }
});

test("of deletes exactly one runs the hooks of the end", async () => {
  const log = join(lab.path, "hooks");
  const hook = { path: "/bin/sh", args: ["sh", "-c", `echo end >> ${log}`] };
  lab.configure(["true"], (config: Config) => {
    config.hooks = { poststop: [hook] };
  });
  const id = lab.newId();
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(log, { force: true });
    assert.equal(lab.runc(["run", "--detach", id]).status, 0);
    const ends = await together(...Array.from({ length: 4 }, () => ["delete", id]));
    assert.equal(succeeded(ends, "delete"), 1);
    assert.equal(readFileSync(log, "utf8"), "end\n");
    assert.deepEqual(lab.remains(), []);
  }
});

for (const shared of [false, true]) {
  const where = shared ? "in the host's pid namespace" : "in its own pid namespace";
  test(`everything that can be done to a container ${where} can be done at the same time`, async () => {
    lab.configure(["sleep", "60"], (config: Config) => {
      if (shared) config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "pid");
    });
    const id = lab.newId();
    for (let round = 0; round < ROUNDS; round++) {
      assert.equal(lab.runc(["run", "--detach", id]).status, 0);
      await together(
        ["exec", id, "true"],
        ["update", "--pids-limit", "50", id],
        ["pause", id],
        ["kill", id, "KILL"],
        ["resume", id],
        ["list"],
        ["state", id],
        ["delete", "--force", id],
        ["delete", "--force", id],
        ["exec", id, "sleep", "1"],
      );
      await clear(id);
    }
  });
}

test("a list says what is there while containers come and go", async () => {
  lab.configure(["true"]);
  for (let round = 0; round < ROUNDS; round++) {
    const ids = Array.from({ length: 4 }, () => lab.newId());
    const ends = await together(
      ...ids.map((id) => ["run", id]),
      ["list"],
      ["list", "--format", "json"],
      ["list", "-q"],
    );
    assert.equal(succeeded(ends, "run") + succeeded(ends, "list"), 7);
  }
  assert.deepEqual(lab.remains(), []);
});

test("a create and a forced delete of the same id leave a container or none, never a part", async () => {
  lab.configure(["sleep", "60"]);
  const id = lab.newId();
  for (let round = 0; round < ROUNDS; round++) {
    await together(["create", id], ["delete", "--force", id], ["create", id], ["delete", "--force", id]);
    assert.ok(["gone", "created"].includes(lab.status(id)), lab.status(id));
    await clear(id);
  }
});

test("commands that are killed at any time leave what a forced delete clears", async () => {
  lab.configure(["sleep", "60"], (config: Config) => {
    config.hooks = { createRuntime: [{ path: "/bin/true" }], poststop: [{ path: "/bin/true" }] };
  });
  const random = new Random(20261125);
  const id = lab.newId();
  for (let round = 0; round < 120; round++) {
    const line = random.pick([
      ["run", id],
      ["create", id],
      ["exec", id, "sleep", "9"],
      ["delete", "--force", id],
    ]);
    if (line[0] === "exec" || line[0] === "delete") assert.equal(lab.runc(["run", "--detach", id]).status, 0);
    const victim = start(line);
    // Most of a command's life, in hundredths of milliseconds.
    await new Promise((resolve) => setTimeout(resolve, random.below(2000) / 100));
    victim.kill();
    await victim.done;
    assert.equal(lab.stateProblem(id), null, `round ${round}: ${line[0]}`);
    await clear(id);
  }
});

test("after all of this nothing is left", () => assert.deepEqual(lab.leftovers(), []));
