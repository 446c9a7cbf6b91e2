// The shim's log where it cannot be written as it should: a full disk, a file that somebody deletes or empties, names
// that cannot be taken, a torn end. The container goes on, and what is lost is counted and said.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ShimLab, skip } from "./shim-lab.ts";
import { entriesOf, entriesSoFar, SCHEMES, type Scheme } from "./shim-logs.ts";

function linesOf(path: string, scheme: Scheme): string[] {
  return entriesOf(path, scheme).map(({ line }) => line);
}

function linesSoFar(path: string, scheme: Scheme): string[] {
  return entriesSoFar(path, scheme).map(({ line }) => line);
}

/** A small tmpfs in the lab's folder. */
class Disk implements Disposable {
  readonly path: string;

  constructor(lab: ShimLab, size: string) {
    this.path = join(lab.folder, "disk");
    mkdirSync(this.path);
    this.mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs");
  }

  mount(...args: string[]): void {
    assert.equal(spawnSync("mount", [...args, this.path]).status, 0);
  }

  [Symbol.dispose](): void {
    spawnSync("umount", ["-l", this.path]);
  }
}

/** To the last byte. */
function fill(path: string): void {
  for (;;) {
    try {
      appendFileSync(path, Buffer.alloc(4096));
    } catch {
      return;
    }
  }
}

/** With the FIFO that a daemon makes for the shim's words. */
function labWithWords(script: string): Promise<ShimLab> {
  return ShimLab.start(["/bin/sh", "-c", script], undefined, { log: true });
}

test("a file on a full disk costs bytes, which are counted and said, and writing goes on when there is room", {
  skip,
}, async () => {
  const script = "seq 1 60000; echo > /first; while [ ! -e /more ]; do usleep 10000; done; seq 60001 60100; exit 6";
  await using lab = await labWithWords(script);
  using disk = new Disk(lab, "200k");
  const file = join(disk.path, "out.txt");
  await lab.create({ stdout: `file://${file}` });
  await lab.task.start({ id: lab.id });
  await lab.eventually("it printed all of it", () => existsSync(join(lab.path, "rootfs/first")));
  const kept = statSync(file).size;
  assert.equal(spawnSync("mount", ["-o", "remount,size=400k", disk.path]).status, 0);
  writeFileSync(join(lab.path, "rootfs/more"), "");
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 6);
  await lab.task.delete({ id: lab.id });
  const whole = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, at) => `${first + at}\n`).join("");
  const text = readFileSync(file, "utf8");
  assert(text.endsWith(whole(60001, 60100)));
  assert.equal(text.slice(0, kept), whole(1, 60000).slice(0, kept));
  assert.match(lab.log(), /no space left on device: output is being lost/);
  const said = /writing works again, (\d+) bytes were lost/.exec(lab.log());
  assert.equal(Number(said?.[1]) + text.length, whole(1, 60100).length, lab.log());
});

test("where the bundle's disk is full the log is written without a journal, and another shim can take over", {
  skip,
}, async () => {
  const script = "seq 1 5000; while [ ! -e /more ]; do usleep 10000; done; seq 5001 6000; exit 6";
  await using lab = await labWithWords(script);
  const more = join(lab.path, "rootfs/more");
  using disk = new Disk(lab, "256k");
  const config = JSON.parse(readFileSync(join(lab.path, "config.json"), "utf8"));
  config.root.path = join(lab.path, "rootfs");
  writeFileSync(join(disk.path, "config.json"), JSON.stringify(config));
  writeFileSync(join(disk.path, "address"), lab.address);
  lab.path = disk.path;
  const log = join(lab.folder, "c.log");
  await lab.create({ stdout: `json-file://${log}`, stderr: `json-file://${log}` });
  fill(join(disk.path, "ballast"));
  await lab.task.start({ id: lab.id });
  await lab.eventually("the first lines", () => linesSoFar(log, "json-file").length === 5000);
  assert.match(lab.log(), /output is not kept for a later shim/);
  await lab.killShim();
  await lab.adopt();
  writeFileSync(more, "");
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 6);
  assert.deepEqual(
    linesOf(log, "json-file").map(Number),
    Array.from({ length: 6000 }, (_, at) => at + 1),
  );
});

for (const scheme of SCHEMES) {
  test(`${scheme}: a full disk costs lines, which are counted and said, and writing goes on when there is room`, {
    skip,
  }, async () => {
    const script = "seq 1 60000; echo > /first; while [ ! -e /more ]; do usleep 10000; done; seq 60001 60100; exit 6";
    await using lab = await labWithWords(script);
    using disk = new Disk(lab, "600k");
    const log = join(disk.path, "c.log");
    const ballast = join(disk.path, "ballast");
    writeFileSync(ballast, Buffer.alloc(300_000));
    await lab.create({ stdout: `${scheme}://${log}`, stderr: `${scheme}://${log}` });
    await lab.task.start({ id: lab.id });
    await lab.eventually("the loss is said", () => lab.log().includes("no space left on device: lines are being lost"));
    await lab.eventually("it printed all of it", () => existsSync(join(lab.path, "rootfs/first")));
    const before = linesOf(log, scheme);
    assert(before.length > 1000 && before.length < 60000);
    rmSync(ballast);
    writeFileSync(join(lab.path, "rootfs/more"), "");
    assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 6);
    const numbers = linesOf(log, scheme).map(Number);
    assert.deepEqual(
      numbers.slice(-100),
      Array.from({ length: 100 }, (_, at) => 60001 + at),
    );
    assert(numbers.every((number, at) => at === 0 || number > numbers[at - 1]!));
    const said = /writing works again, (\d+) were lost/.exec(lab.log());
    assert.equal(Number(said?.[1]) + numbers.length, 60100, lab.log());
  });

  test(`${scheme}: a log that is deleted is made anew, and one that is emptied goes on from its start`, {
    skip,
  }, async () => {
    await using lab = await ShimLab.start([
      "/bin/sh",
      "-c",
      "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done",
    ]);
    const log = join(lab.folder, "c.log");
    await lab.create({ stdout: `${scheme}://${log}`, stderr: `${scheme}://${log}` });
    await lab.task.start({ id: lab.id });
    await lab.eventually("some lines", () => existsSync(log) && statSync(log).size > 400);
    unlinkSync(log);
    await lab.eventually("a new file", () => linesSoFar(log, scheme).length > 3, 4000);
    assert.equal(statSync(log).mode & 0o777, 0o640);
    assert(!lab.descriptors().some((target) => target.includes("(deleted)")));
    await sleep(1100);
    truncateSync(log);
    let numbers: number[] = [];
    await lab.eventually("lines again", () => (numbers = linesSoFar(log, scheme).map(Number)).length > 3);
    assert(numbers[0]! > 50 && numbers.every((number, at) => at === 0 || number === numbers[at - 1]! + 1));
  });

  test(`${scheme}: a log that cannot be rotated keeps its bound, and the reason is said once`, { skip }, async () => {
    await using lab = await labWithWords("seq 1 50000; while [ ! -e /more ]; do usleep 10000; done; seq 50001 60000");
    const log = join(lab.folder, "c.log");
    // Nothing can be renamed over a directory that is not empty.
    mkdirSync(`${log}.1/x`, { recursive: true });
    const uri = `${scheme}://${log}?max-size=50000&max-file=2`;
    await lab.create({ stdout: uri, stderr: uri });
    await lab.task.start({ id: lab.id });
    await lab.eventually("all of the first lines", () => linesSoFar(log, scheme).at(-1) === "50000");
    assert(statSync(log).size <= 50_100);
    assert.equal(lab.log().split("could not be rotated").length, 2, lab.log());
    rmSync(`${log}.1`, { recursive: true });
    writeFileSync(join(lab.path, "rootfs/more"), "");
    await lab.task.wait({ id: lab.id });
    assert.equal(linesOf(log, scheme).at(-1), "60000");
    const both = [...linesOf(`${log}.1`, scheme), ...linesOf(log, scheme)].map(Number);
    assert(both.every((number, at) => at === 0 || number === both[at - 1]! + 1));
  });

  test(`${scheme}: a file that a crash left torn is whole again before anything is added`, { skip }, async () => {
    const log = (lab: ShimLab) => join(lab.folder, "c.log");
    let torn = Buffer.alloc(0);
    {
      await using lab = await ShimLab.start(["/bin/sh", "-c", "seq 1 1000"]);
      await lab.create({ stdout: `${scheme}://${log(lab)}`, stderr: `${scheme}://${log(lab)}` });
      await lab.task.start({ id: lab.id });
      await lab.task.wait({ id: lab.id });
      const whole = readFileSync(log(lab));
      torn = Buffer.concat([whole.subarray(0, whole.length - 20), Buffer.alloc(scheme === "local" ? 30 : 0)]);
    }
    await using lab = await ShimLab.start(["/bin/sh", "-c", "echo new"]);
    writeFileSync(log(lab), torn);
    await lab.create({ stdout: `${scheme}://${log(lab)}`, stderr: `${scheme}://${log(lab)}` });
    await lab.task.start({ id: lab.id });
    await lab.task.wait({ id: lab.id });
    const lines = linesOf(log(lab), scheme);
    assert.deepEqual(lines.slice(-2), ["999", "new"]);
    assert.equal(lines.length, 1000);
  });
}
