// Output that goes to what a client named, FIFOs and files, by shims that are killed: nothing of it is lost or doubled.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, closeSync, constants, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FOREVER, killAgainAndAgain } from "./shim-kills.ts";
import { ShimLab, skip } from "./shim-lab.ts";

/** A client: holds its FIFO open, as daemons do, and keeps what comes in a file. */
class Client implements AsyncDisposable {
  readonly fifo: string;
  readonly file: string;
  readonly #held: number;
  readonly #reader;

  constructor(lab: ShimLab, name: string) {
    this.fifo = join(lab.folder, name);
    this.file = `${this.fifo}.txt`;
    assert.equal(spawnSync("mkfifo", [this.fifo]).status, 0);
    this.#held = openSync(this.fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const [from, to] = [openSync(this.fifo, constants.O_RDONLY), openSync(this.file, "a")];
    this.#reader = spawn("cat", { stdio: [from, to, "inherit"] });
    for (const fd of [from, to]) closeSync(fd);
  }

  /** Reads to the end, which comes once no shim holds the FIFO. */
  async end(): Promise<void> {
    closeSync(this.#held);
    await new Promise((resolve) => this.#reader.once("exit", resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.kill("SIGKILL");
  }
}

/** How many lines there are, each with the number after the one before. */
function numbered(path: string): number {
  const lines = readFileSync(path, "utf8").split("\n");
  assert.equal(lines.pop(), "");
  lines.forEach((line, at) => void assert.equal(line, `${at} line`));
  return lines.length;
}

function remains(lab: ShimLab): string[] {
  return readdirSync(lab.path).filter((name) => name.endsWith(".fifo") || name.endsWith(".journal"));
}

test("no line to a client's FIFOs is lost or doubled by twenty kills of the shim", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  await using stdout = new Client(lab, "out");
  await using stderr = new Client(lab, "err");
  await lab.create({ stdout: stdout.fifo, stderr: stderr.fifo });
  await lab.task.start({ id: lab.id });
  await killAgainAndAgain(lab, 20, () => statSync(stdout.file).size);
  await lab.task.delete({ id: lab.id });
  assert.deepEqual(remains(lab), []);
  for (const client of [stdout, stderr]) await client.end();
  const [out, err] = [numbered(stdout.file), numbered(stderr.file)];
  assert(out > 1000 && Math.abs(out - err) <= 1, `${out} and ${err} lines`);
});

test("no line to files is lost or doubled by twenty kills of the shim", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER]);
  const [stdout, stderr] = [join(lab.folder, "out.txt"), join(lab.folder, "err.txt")];
  await lab.create({ stdout: `file://${stdout}`, stderr: `file://${stderr}` });
  await lab.task.start({ id: lab.id });
  await killAgainAndAgain(lab, 20, () => statSync(stdout).size);
  await lab.task.delete({ id: lab.id });
  assert.deepEqual(remains(lab), []);
  const [out, err] = [numbered(stdout), numbered(stderr)];
  assert(out > 1000 && Math.abs(out - err) <= 1, `${out} and ${err} lines`);
});

test("nor where both streams and somebody else append to one file", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", FOREVER.replaceAll("line", "line of $n")]);
  const file = join(lab.folder, "both.txt");
  await lab.create({ stdout: `file://${file}`, stderr: `file://${file}` });
  await lab.task.start({ id: lab.id });
  const timer = setInterval(() => appendFileSync(file, "somebody else\n"), 3);
  await killAgainAndAgain(lab, 10, () => statSync(file).size);
  clearInterval(timer);
  await lab.task.delete({ id: lab.id });
  const times = new Map<string, number>();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (/^\d+ line of \d+$/.test(line)) times.set(line, (times.get(line) ?? 0) + 1);
  }
  const numbers = [...times.keys()].map((line) => Number.parseInt(line, 10)).sort((a, b) => a - b);
  assert.deepEqual(numbers, [...numbers.keys()]);
  assert([...times.values()].slice(0, -1).every((count) => count === 2));
});

test("a client that does not read stops its container, not another's, and gets all of it later", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "seq 1 100000; echo end >&2"]);
  const [stdout, stderr] = [join(lab.folder, "out"), join(lab.folder, "err.txt")];
  assert.equal(spawnSync("mkfifo", [stdout]).status, 0);
  const held = openSync(stdout, constants.O_RDWR | constants.O_NONBLOCK);
  await lab.create({ stdout, stderr: `file://${stderr}` });
  await lab.task.start({ id: lab.id });
  await lab.killShim();
  await lab.adopt();
  assert.equal(readFileSync(stderr, "utf8"), "");
  const reader = spawn("cat", [stdout], { stdio: ["ignore", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  reader.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 0);
  await lab.task.delete({ id: lab.id });
  closeSync(held);
  await new Promise((resolve) => reader.once("close", resolve));
  const expected = Array.from({ length: 100_000 }, (_, at) => `${at + 1}\n`).join("");
  assert.equal(Buffer.concat(chunks).toString(), expected);
  assert.equal(readFileSync(stderr, "utf8"), "end\n");
});
