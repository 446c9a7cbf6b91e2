// The log's file, its readers and the queue to slow clients.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { attachFrame as frame } from "../../../api/task/attach.ts";
import { installUtf8 } from "../../../base/bytes.ts";
import { nodeUtf8 } from "../../../runtime/node/utf8.ts";
import { FrameReader } from "./frames.ts";
import { JsonFileWriter, MAX_LINE_BYTES, parseSize, readLogLimits } from "./jsonfile.ts";
import { readLog } from "./logread.ts";
import { SpillQueue } from "./spill.ts";

installUtf8(nodeUtf8);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "dockerd-output-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const never = new Promise<void>(() => {});
const calm = () => ({ aborted: false, onabort: null as (() => void) | null });

async function texts(path: string, tail: number | null = null): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of readLog(path, { tail, follow: false, ended: never, cancelled: calm() }))
    found.push(entry.log);
  return found;
}

const bytes = (text: string) => new TextEncoder().encode(text);

test("a line comes back as it was written, however its bytes were cut", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const log = new JsonFileWriter(path, { maxSize: null, maxFile: 1 });
    const whole = bytes('one "quoted" ünï\ntwo\nthree');
    for (const byte of whole) log.write("stdout", Uint8Array.of(byte));
    log.close();
    assert.deepEqual(await texts(path), ['one "quoted" ünï\n', "two\n", "three"]);
  }));

test("a line longer than the limit is cut between two characters", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const log = new JsonFileWriter(path, { maxSize: null, maxFile: 1 });
    const text = `${"x".repeat(MAX_LINE_BYTES - 1)}é tail\n`;
    log.write("stdout", bytes(text));
    log.close();
    const parts = await texts(path);
    assert.equal(parts.length, 2);
    assert.equal(parts.join(""), text);
  }));

test("rotation keeps the last files, and the reader goes over all of them in order", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const log = new JsonFileWriter(path, { maxSize: 1000, maxFile: 3 });
    for (let number = 0; number < 100; number++) log.write("stdout", bytes(`${number}\n`));
    log.close();
    assert.deepEqual(readdirSync(folder).toSorted(), ["x.log", "x.log.1", "x.log.2"]);
    const numbers = (await texts(path)).map(Number);
    assert.equal(numbers.at(-1), 99);
    for (const [at, number] of numbers.entries()) assert.equal(number, numbers[0]! + at);
    assert.deepEqual((await texts(path, 20)).map(Number), numbers.slice(-20));
  }));

test("half a line that a power cut left is cut off before the next one is written", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const entry = '{"log":"a\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}\n';
    writeFileSync(path, `${entry}{"log":"to`);
    const log = new JsonFileWriter(path, { maxSize: null, maxFile: 1 });
    log.write("stdout", bytes("b\n"));
    log.close();
    assert.deepEqual(await texts(path), ["a\n", "b\n"]);
    assert.equal(readFileSync(path, "utf8").split("\n").length, 3);
  }));

test("a follower sees every line once over rotations and ends with the container", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const log = new JsonFileWriter(path, { maxSize: 20_000, maxFile: 100 });
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const found: number[] = [];
    const reading = (async () => {
      for await (const entry of readLog(path, { tail: null, follow: true, ended, cancelled: calm() })) {
        found.push(Number(entry.log));
      }
    })();
    for (let number = 0; number < 2000; number++) {
      log.write("stdout", bytes(`${number}\n`));
      if (number % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    log.close();
    end();
    await reading;
    assert.equal(found.length, 2000);
    for (const [at, number] of found.entries()) assert.equal(number, at);
  }));

test("a slow client gets every byte in order, from memory and from disk", () =>
  inFolder(async (folder) => {
    using queue = new SpillQueue(folder);
    const piece = (number: number) => bytes(`${String(number).padStart(9, "0")}\n`.repeat(1000));
    for (let number = 0; number < 500; number++) assert.ok(queue.push(piece(number)));
    assert.equal(readdirSync(folder).length, 0, "the file on disk has no name");
    let text = "";
    const reading = (async () => {
      for (let part = await queue.next(); part !== null; part = await queue.next())
        text += Buffer.from(part).toString();
    })();
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (let number = 500; number < 600; number++) queue.push(piece(number));
    queue.end();
    await reading;
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 600_000);
    for (const [at, line] of lines.entries()) assert.equal(Number(line), Math.floor(at / 1000));
  }));

test("frames are put together from any pieces, and a length beyond the limit is refused", () => {
  const reader = new FrameReader();
  const sent = Buffer.concat([frame(1, bytes("abc")), frame(9, new Uint8Array(0)), frame(2, bytes("de"))]);
  const got: [number, string][] = [];
  for (const byte of sent) {
    for (const { type, payload } of reader.push(Uint8Array.of(byte))) got.push([type, Buffer.from(payload).toString()]);
  }
  assert.deepEqual(got, [
    [1, "abc"],
    [9, ""],
    [2, "de"],
  ]);
  assert.throws(() => new FrameReader().push(Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255)), /beyond/);
});

test("log options are read with Docker's units and refused by name", () => {
  assert.equal(parseSize("10m"), 10 * 1024 * 1024);
  assert.equal(parseSize("-1"), null);
  assert.deepEqual(readLogLimits({ "max-size": "1k", "max-file": "3" }), { maxSize: 1024, maxFile: 3 });
  assert.throws(() => readLogLimits({ nope: "1" }), /unknown log opt 'nope' for json-file log driver/);
  assert.throws(() => readLogLimits({ "max-file": "0" }), /max-file cannot be less than 1/);
});
