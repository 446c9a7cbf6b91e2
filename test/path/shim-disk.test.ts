// The shim's log where it cannot be written as it should: a full disk, a file that somebody deletes or empties, names
// that cannot be taken, a torn end. The container goes on, and what is lost is counted and said.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
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
import { LogEntry } from "../../api/task/gen/log_entry.ts";
import { ShimLab, skip } from "./shim-lab.ts";

/** Lines of either format; throws on what is not whole. */
function linesOf(path: string, scheme: string): string[] {
  const bytes = readFileSync(path);
  if (scheme === "json-file") {
    const text = bytes.toString();
    assert(text === "" || text.endsWith("}\n"));
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => (JSON.parse(line) as { log: string }).log.trimEnd());
  }
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    assert.equal(bytes.readUInt32BE(at + 4 + length), length);
    found.push(Buffer.from(LogEntry.decode(bytes.subarray(at + 4, at + 4 + length)).line).toString());
  }
  return found;
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

/** With the FIFO that a daemon makes for the shim's words. */
function labWithWords(script: string): Promise<ShimLab> {
  return ShimLab.start(["/bin/sh", "-c", script], undefined, { log: true });
}

for (const scheme of ["json-file", "local"]) {
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
    await lab.eventually("a new file", () => existsSync(log) && linesOf(log, scheme).length > 3, 4000);
    assert.equal(statSync(log).mode & 0o777, 0o640);
    assert(!lab.descriptors().some((target) => target.includes("(deleted)")));
    await sleep(1100);
    truncateSync(log);
    await lab.eventually("lines again", () => linesOf(log, scheme).length > 3);
    const numbers = linesOf(log, scheme).map(Number);
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
    await lab.eventually("all of the first lines", () => linesOf(log, scheme).at(-1) === "50000");
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
