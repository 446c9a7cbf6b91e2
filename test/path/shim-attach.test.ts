// Slow, stalled and passing clients of the attach socket: the container goes at its own speed, whoever watches.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ShimLab, skip } from "./shim-lab.ts";

/** A client that counts and hashes what it is given instead of keeping it, and reads only when it is told to. */
class Reader {
  readonly socket: Socket;
  readonly hash = createHash("sha256");
  bytes = 0;
  ended = false;
  error: string | null = null;
  #input = Buffer.alloc(0);

  private constructor(path: string) {
    this.socket = connect(path);
    this.socket.on("data", (chunk) => this.#take(chunk as Buffer));
    this.socket.on("close", () => {
      this.ended = true;
    });
    this.socket.on("error", () => {});
    this.socket.write(Buffer.from([8, 0, 0, 0, 0, 0, 0, 1, 3]));
  }

  static async subscribe(path: string): Promise<Reader> {
    const reader = new Reader(path);
    await new Promise<void>((resolve) => reader.socket.once("data", () => resolve()));
    return reader;
  }

  #take(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    let at = 0;
    while (this.#input.length - at >= 8 && this.#input.length - at >= 8 + this.#input.readUInt32BE(at + 4)) {
      const end = at + 8 + this.#input.readUInt32BE(at + 4);
      const payload = this.#input.subarray(at + 8, end);
      if (this.#input[at] === 3) this.error = payload.toString();
      else if (this.#input[at] === 1 || this.#input[at] === 2) {
        this.bytes += payload.length;
        this.hash.update(payload);
      }
      at = end;
    }
    this.#input = this.#input.subarray(at);
  }
}

/** Spilled output that the shim holds on disk: files without a name. */
function spills(lab: ShimLab): number {
  return lab.descriptors().filter((target) => target.includes("(deleted)")).length;
}

function expected(megabytes: number): { bytes: number; sha256: string } {
  const line = `${"0123456789".repeat(10)}\n`;
  const hash = createHash("sha256");
  const block = Buffer.from(line.repeat(10_000));
  const bytes = megabytes * 1_000_000;
  for (let left = bytes; left > 0; left -= block.length) hash.update(block.subarray(0, Math.min(left, block.length)));
  return { bytes, sha256: hash.digest("hex") };
}

/** The same as `expected` says, then a word in the container that it is over. */
function writing(megabytes: number): string[] {
  const line = "0123456789".repeat(10);
  return ["/bin/sh", "-c", `yes ${line} | head -c ${megabytes * 1_000_000}; echo done > /over; sleep 1000`];
}

async function create(lab: ShimLab): Promise<{ log: string; socket: string }> {
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `local://${log}?max-size=1000000&max-file=2&attach=${socket}`;
  await lab.create({ stdout: uri, stderr: uri });
  return { log, socket };
}

function over(lab: ShimLab): boolean {
  try {
    return readFileSync(join(lab.path, "rootfs/over"), "utf8") === "done\n";
  } catch {
    return false;
  }
}

test("a stalled client costs the container nothing, and gets every byte when it reads on", { skip }, async () => {
  const { bytes, sha256 } = expected(60);
  await using lab = await ShimLab.start(writing(60));
  const { socket } = await create(lab);
  const stalled = await Reader.subscribe(socket);
  stalled.socket.pause();
  const before = lab.memory();
  await lab.task.start({ id: lab.id });
  await lab.eventually("the container's last word, while nobody reads", () => over(lab), 30_000);
  assert.equal(spills(lab), 1, "what was not read lies in a file without a name");
  assert.deepEqual(
    readdirSync(lab.folder).filter((name) => /attach-|spill/.test(name)),
    [],
  );
  stalled.socket.resume();
  await lab.eventually("every byte", () => stalled.bytes === bytes, 30_000);
  assert.equal(stalled.hash.digest("hex"), sha256);
  assert.equal(stalled.error, null);
  await lab.eventually("the file is gone", () => spills(lab) === 0);
  await sleep(300);
  assert(lab.memory() - before < 600, `${lab.memory() - before} kB more than before`);
});

test("a client that lags behind more than is kept for it paces the container and loses nothing", { skip }, async () => {
  const { bytes, sha256 } = expected(300);
  await using lab = await ShimLab.start(writing(300));
  const { socket } = await create(lab);
  const slow = await Reader.subscribe(socket);
  slow.socket.pause();
  await lab.task.start({ id: lab.id });
  // A little every now and then: always some progress, never as fast as the container.
  let reading = true;
  const nibble = async () => {
    while (reading && !over(lab)) {
      slow.socket.resume();
      await sleep(20);
      slow.socket.pause();
      await sleep(100);
    }
    slow.socket.resume();
  };
  const nibbling = nibble();
  await lab.eventually("every byte", () => slow.bytes === bytes || slow.error !== null, 120_000);
  reading = false;
  await nibbling;
  assert.equal(slow.error, null);
  assert.equal(slow.hash.digest("hex"), sha256);
});

test("a client that stops reading beyond what is kept for it is cut with a sentence, and the rest goes on", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(writing(400));
  const { socket, log } = await create(lab);
  const [dead, alive] = [await Reader.subscribe(socket), await Reader.subscribe(socket)];
  dead.socket.pause();
  await lab.task.start({ id: lab.id });
  await lab.eventually("the container's last word", () => over(lab), 120_000);
  await lab.eventually("all of it for the other client", () => alive.bytes === expected(400).bytes, 60_000);
  dead.socket.resume();
  await lab.eventually("its end", () => dead.ended, 30_000);
  assert.equal(dead.error, "the client did not read for too long");
  assert(statSync(log).size > 0);
  assert.equal(spills(lab), 0);
});

test("where nothing can be kept on a full disk a slow client paces the container and loses nothing", {
  skip,
}, async () => {
  const { bytes, sha256 } = expected(20);
  await using lab = await ShimLab.start(writing(20));
  const disk = join(lab.folder, "disk");
  mkdirSync(disk);
  assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=300k", "tmpfs", disk]).status, 0);
  try {
    const socket = join(lab.folder, "attach");
    const uri = `json-file://${disk}/c.log?attach=${socket}`;
    await lab.create({ stdout: uri, stderr: uri });
    const slow = await Reader.subscribe(socket);
    slow.socket.pause();
    await lab.task.start({ id: lab.id });
    await sleep(1000);
    assert(!over(lab), "the container waits");
    slow.socket.resume();
    await lab.eventually("every byte", () => slow.bytes === bytes, 20_000);
    assert.deepEqual([slow.hash.digest("hex"), slow.error], [sha256, null]);
    assert.equal(spills(lab), 0);
  } finally {
    spawnSync("umount", ["-l", disk]);
  }
});

test("what a slow client has not read when the container is gone still reaches it", { skip }, async () => {
  const { bytes, sha256 } = expected(20);
  const command = writing(20)[2]!.replace("; sleep 1000", "");
  await using lab = await ShimLab.start(["/bin/sh", "-c", command]);
  const { socket } = await create(lab);
  const slow = await Reader.subscribe(socket);
  slow.socket.pause();
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  await lab.task.delete({ id: lab.id });
  await lab.task.shutdown({ id: lab.id });
  await sleep(3500);
  assert(lab.alive(), "it stays for its last reader");
  slow.socket.resume();
  await lab.eventually("every byte", () => slow.ended, 20_000);
  assert.deepEqual([slow.bytes, slow.hash.digest("hex"), slow.error], [bytes, sha256, null]);
  await lab.eventually("its end", () => !lab.alive());
});

test("clients may come and go while output flows: each sees an unbroken piece of it", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; done"]);
  const { socket } = await create(lab);
  await lab.task.start({ id: lab.id });
  for (let round = 0; round < 5; round++) {
    const client = connect(socket);
    const parts: Buffer[] = [];
    let input = Buffer.alloc(0);
    client.on("data", (chunk) => {
      input = Buffer.concat([input, chunk as Buffer]);
      while (input.length >= 8 && input.length >= 8 + input.readUInt32BE(4)) {
        if (input[0] === 1) parts.push(input.subarray(8, 8 + input.readUInt32BE(4)));
        input = input.subarray(8 + input.readUInt32BE(4));
      }
    });
    client.write(Buffer.from([8, 0, 0, 0, 0, 0, 0, 1, 1]));
    await lab.eventually("some lines", () => parts.length > 20);
    client.destroy();
    const numbers = Buffer.concat(parts).toString().split("\n").slice(1, -1).map(Number);
    assert(numbers.length > 20 && numbers.every((number, at) => at === 0 || number === numbers[at - 1]! + 1));
  }
});
