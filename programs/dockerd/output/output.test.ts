// The log's file, its readers and the queue to slow clients.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { attachFrame as frame } from "../../../api/task/attach.ts";
import { LogEntry as Message } from "../../../api/task/gen/log_entry.ts";
import { installUtf8 } from "../../../base/bytes.ts";
import { nodeUtf8 } from "../../../runtime/node/utf8.ts";
import { decimalBytes, ramBytes } from "../config/size.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { Compressor } from "./compress.ts";
import { type LogEntry, MAX_LINE_BYTES, momentOf } from "./entry.ts";
import { FrameReader } from "./frames.ts";
import { JsonFormat } from "./jsonfile.ts";
import { LocalFormat } from "./localfile.ts";
import { type ReadOptions, readLog } from "./logread.ts";
import { LogWriter, replaceRotated } from "./logwriter.ts";
import { checkLogOptions, logAttributes, readLogSettings } from "./options.ts";
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
const FORMATS = { "json-file": new JsonFormat(), local: new LocalFormat() };
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (entry: LogEntry) => Buffer.from(entry.bytes).toString();

function options(more: Partial<ReadOptions> = {}): ReadOptions {
  const cancelled = { aborted: false, onabort: null as (() => void) | null };
  return { tail: null, since: null, follow: false, ended: never, cancelled, ...more };
}

async function texts(path: string, format = "json-file", tail: number | null = null): Promise<string[]> {
  const found: string[] = [];
  const source = { path, format: FORMATS[format as keyof typeof FORMATS] };
  for await (const entry of readLog(source, options({ tail }))) found.push(textOf(entry));
  return found;
}

for (const [name, format] of Object.entries(FORMATS)) {
  test(`${name}: a line comes back as it was written, however its bytes were cut`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: null, maxFile: 1 }, format);
      const whole = bytes('one "quoted" <ünï>\ntwo\n\nthree');
      for (const byte of whole) log.write("stdout", Uint8Array.of(byte));
      log.close();
      assert.deepEqual(await texts(path, name), ['one "quoted" <ünï>\n', "two\n", "\n", "three"]);
    }));

  test(`${name}: a line longer than the limit goes out in parts, all of one time`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: null, maxFile: 1 }, format);
      const text = `${"x".repeat(MAX_LINE_BYTES - 1)}é tail\n`;
      log.write("stdout", bytes(text).subarray(0, 10_000));
      await new Promise((resolve) => setTimeout(resolve, 2));
      log.write("stdout", bytes(text).subarray(10_000));
      log.write("stdout", bytes(`${"y".repeat(MAX_LINE_BYTES)}\n`));
      log.close();
      const found: LogEntry[] = [];
      for await (const entry of readLog({ path, format }, options())) found.push(entry);
      const parts = found.map(textOf);
      assert.equal(parts.length, 4);
      assert.equal(Buffer.concat(found.map((entry) => entry.bytes)).toString(), `${text}${parts[2]}\n`);
      assert.equal(parts[3], "\n");
      assert.equal(momentOf(found[0]!), momentOf(found[1]!));
      // Only json-file, whose text is UTF-8, keeps characters whole.
      assert.equal(found[0]!.bytes.length, name === "local" ? MAX_LINE_BYTES : MAX_LINE_BYTES - 1);
    }));

  test(`${name}: rotation keeps the last files, and the reader goes over all of them in order`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: 1000, maxFile: 3 }, format);
      for (let number = 0; number < 100; number++) log.write("stdout", bytes(`${number}\n`));
      log.close();
      assert.deepEqual(readdirSync(folder).toSorted(), ["x.log", "x.log.1", "x.log.2"]);
      const numbers = (await texts(path, name)).map(Number);
      assert.equal(numbers.at(-1), 99);
      for (const [at, number] of numbers.entries()) assert.equal(number, numbers[0]! + at);
      for (const tail of [0, 1, 5, 20, numbers.length, 1000]) {
        const expected = tail === 0 ? [] : numbers.slice(-tail);
        assert.deepEqual((await texts(path, name, tail)).map(Number), expected, `the last ${tail}`);
      }
    }));

  test(`${name}: half a record that a power cut left is cut off before the next one is written`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const record = format.make({ stream: "stdout", line: bytes("a"), time: 1_700_000_000_000_000_000n, part: null });
      for (let length = 0; length < record.length; length++) {
        writeFileSync(path, Buffer.concat([record, record.subarray(0, length)]));
        assert.deepEqual(await texts(path, name, 1), ["a\n"], "nor is it read");
        const log = new LogWriter(path, { maxSize: null, maxFile: 1 }, format);
        log.write("stdout", bytes("b\n"));
        log.close();
        assert.deepEqual(await texts(path, name), ["a\n", "b\n"]);
      }
    }));

  test(`${name}: a follower sees every line once over rotations and ends with the container`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: 5_000, maxFile: 100 }, format);
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      const found: number[] = [];
      const reading = (async () => {
        const source = { path, format };
        for await (const entry of readLog(source, options({ follow: true, ended }))) found.push(Number(textOf(entry)));
      })();
      for (let number = 0; number < 3000; number++) {
        log.write("stdout", bytes(`${number}\n`));
        // Now and then the reader sleeps over several rotations.
        if (number % 50 === 0 && number % 1000 < 500) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      log.close();
      end();
      await reading;
      assert.equal(found.length, 3000);
      for (const [at, number] of found.entries()) assert.equal(number, at);
    }));

  test(`${name}: a follower goes over files that are compressed behind it, and reads them from the start`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: 5_000, maxFile: 100 }, format);
      const compressor = new Compressor({
        ...{ path, format, warn: (sentence) => assert.fail(sentence) },
        replace: async (inode) => replaceRotated(path, inode, 100),
      });
      compressor.watch();
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      const follow = async () => {
        const found: number[] = [];
        const source = { path, format };
        for await (const entry of readLog(source, options({ follow: true, ended }))) found.push(Number(textOf(entry)));
        return found;
      };
      const followers = [follow()];
      for (let number = 0; number < 2000; number++) {
        log.write("stdout", bytes(`${number}\n`));
        if (number % 40 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        if (number === 1000) followers.push(follow());
      }
      log.close();
      const plain = () => readdirSync(folder).filter((one) => /\.\d+$/.test(one)).length;
      compressor.unwatch();
      for (let waited = 0; plain() > 0 && waited < 5000; waited += 10) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      end();
      const all = Array.from({ length: 2000 }, (_, at) => at);
      for (const found of await Promise.all(followers)) assert.deepEqual(found, all);
      assert.ok(readdirSync(folder).filter((one) => one.endsWith(".gz")).length > 5);
      assert.equal(plain(), 0);
      assert.deepEqual((await texts(path, name)).map(Number), all);
      for (const tail of [1, 100, 777]) {
        assert.deepEqual((await texts(path, name, tail)).map(Number), all.slice(-tail));
      }
      const zcat = spawnSync("gzip", ["-t", ...readdirSync(folder).filter((one) => one.endsWith(".gz"))], {
        cwd: folder,
      });
      assert.equal(String(zcat.stderr), "");
    }));

  test(`${name}: a file that somebody emptied is followed from its start again`, () =>
    inFolder(async (folder) => {
      const path = join(folder, "x.log");
      const log = new LogWriter(path, { maxSize: null, maxFile: 1 }, format);
      log.write("stdout", bytes("a rather long line before\n"));
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      const found: string[] = [];
      const reading = (async () => {
        const source = { path, format };
        for await (const entry of readLog(source, options({ follow: true, ended }))) found.push(textOf(entry));
      })();
      while (found.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      truncateSync(path);
      await new Promise((resolve) => setTimeout(resolve, 50));
      log.write("stdout", bytes("after\n"));
      log.close();
      end();
      await reading;
      assert.deepEqual(found, ["a rather long line before\n", "after\n"]);
    }));
}

test("records bear attributes where the options ask for them, in either format", () => {
  const record: Pick<
    ContainerRecord,
    "id" | "name" | "createdAt" | "config" | "logOptions" | "imageId" | "imageName" | "path" | "args"
  > = {
    ...{
      id: "0123456789abcdef",
      name: "web",
      createdAt: "2026-11-27T00:41:01.675975390Z",
      imageId: `sha256:${"a".repeat(64)}`,
      imageName: "busybox",
    },
    ...{ path: "sh", args: ["-c", "x"] },
    config: { Labels: { one: "1", "two.x": "2", three: "3" }, Env: ["A=a=b", "B", "LC_X=x", "LC_Y=y"] },
    logOptions: {
      labels: "one,missing",
      "labels-regex": "^two",
      env: "A,B",
      "env-regex": "^LC_",
      tag: "{{.Name}}/{{upper .ID}}/{{.ContainerCreated}}/{{.LogPath}}",
    },
  };
  const attrs = logAttributes(record as ContainerRecord, "/log");
  const tag = "web/0123456789AB/2026-11-27 00:41:01.67597539 +0000 UTC//log";
  const expected = { one: "1", "two.x": "2", A: "a=b", LC_X: "x", LC_Y: "y", tag };
  assert.deepEqual(attrs, expected);
  for (const format of [new JsonFormat(attrs), new LocalFormat(attrs)]) {
    const made = format.make({ stream: "stderr", line: bytes("x"), time: 1_700_000_000_000_000_000n, part: null });
    assert.deepEqual(format.parse(made).entries[0]!.attrs, expected);
  }
  const wrong = { ...record, logOptions: { tag: "{{.Nope}}" } } as unknown as ContainerRecord;
  assert.throws(
    () => logAttributes(wrong, "/log"),
    /log-tag:1:2: executing "log-tag" at <\.Nope>: can't evaluate field Nope/,
  );
});

test("what the local format cannot make sense of ends a file and nothing else", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x.log");
    const make = (line: string) => {
      return FORMATS.local.make({ stream: "stdout", line: bytes(line), time: 1n, part: null });
    };
    writeFileSync(`${path}.1`, Buffer.concat([make("a"), Buffer.alloc(100), make("b")]));
    writeFileSync(path, make("c"));
    assert.deepEqual(await texts(path, "local"), ["a\n", "c\n"]);
    assert.deepEqual(await texts(path, "local", 2), ["b\n", "c\n"], "from the end it may be found");
    assert.deepEqual(await texts(path, "local", 3), ["a\n", "c\n"]);
    const wrongKind = Buffer.concat([Message.encode(Message.create({ source: "stdout" }))]);
    assert.deepEqual(FORMATS.local.parse(new Uint8Array(wrongKind)).entries, []);
  }));

test("a slow client gets every byte in order, from memory and from disk", () =>
  inFolder(async (folder) => {
    using queue = new SpillQueue(folder, () => assert.fail("it reads"));
    const piece = (number: number) => bytes(`${String(number).padStart(9, "0")}\n`.repeat(1000));
    for (let number = 0; number < 500; number++) assert.equal(queue.push(piece(number)), null);
    assert.equal(readdirSync(folder).length, 0, "the file on disk has no name");
    let text = "";
    const reading = queue.drain(async (part) => {
      text += Buffer.from(part).toString();
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (let number = 500; number < 600; number++) queue.push(piece(number));
    queue.end();
    await reading;
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 600_000);
    for (const [at, line] of lines.entries()) assert.equal(Number(line), Math.floor(at / 1000));
  }));

test("output comes on as it arrives, other frames whole, and a length beyond the limit is refused", () => {
  const sent = Buffer.concat([
    frame(1, bytes("abc")),
    frame(9, new Uint8Array(0)),
    frame(3, bytes("de")),
    frame(2, bytes("f")),
  ]);
  const parts = (size: number) => {
    const reader = new FrameReader();
    const got: [number, string][] = [];
    for (let at = 0; at < sent.length; at += size) {
      const piece = sent.subarray(at, at + size);
      for (const { type, payload } of reader.push(piece)) got.push([type, Buffer.from(payload).toString()]);
    }
    return got;
  };
  const rest: [number, string][] = [
    [9, ""],
    [3, "de"],
    [2, "f"],
  ];
  assert.deepEqual(parts(1000), [[1, "abc"], ...rest]);
  assert.deepEqual(parts(10), [[1, "ab"], [1, "c"], ...rest]);
  assert.deepEqual(parts(1), [[1, "a"], [1, "b"], [1, "c"], ...rest]);
  assert.throws(() => new FrameReader().push(Uint8Array.of(1, 0, 0, 0, 255, 255, 255, 255)), /beyond/);
});

test("where somebody else keeps what a client has not taken, its pusher waits until it takes it", async () => {
  using queue = new SpillQueue(null, () => assert.fail("it may take as long as it likes"));
  const piece = new Uint8Array(300_000);
  const pushed = [1, 2, 3, 4].map(() => queue.push(piece));
  assert.deepEqual(
    pushed.map((room) => room === null),
    [true, true, true, false],
  );
  let room = false;
  void pushed[3]!.then(() => {
    room = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(room, false);
  let taken = 0;
  const ended = queue.drain(async () => {
    if (++taken === 3) await pushed[3];
  });
  await pushed[3];
  queue.end("why");
  await ended;
  assert.deepEqual([taken, queue.error], [4, "why"]);
});

test("a client that has taken everything gets what comes before its pusher goes on", async () => {
  using queue = new SpillQueue(null, () => assert.fail("it reads"));
  const [written, done]: [number[], (() => void)[]] = [[], []];
  const ended = queue.drain((piece) => {
    written.push(piece[0]!);
    return new Promise((resolve) => done.push(resolve));
  });
  const push = (byte: number) => queue.push(Uint8Array.of(byte));
  push(1);
  assert.deepEqual(written, [1]);
  push(2);
  assert.deepEqual(written, [1], "one at a time");
  done[0]!();
  await new Promise(setImmediate);
  assert.deepEqual(written, [1, 2]);
  queue.end();
  push(3);
  done[1]!();
  await ended;
  assert.deepEqual(written, [1, 2]);
});

test("log options are read with Docker's units and refused in its words", () => {
  assert.deepEqual([ramBytes("10m"), ramBytes("-1"), decimalBytes("10m")], [10 * 1024 * 1024, null, 10_000_000]);
  assert.deepEqual([decimalBytes("1.5k"), decimalBytes("2GB"), decimalBytes("7 kib")], [1500, 2e9, 7000]);
  const json = (options: Record<string, string>) => readLogSettings("json-file", options);
  const local = (options: Record<string, string>) => readLogSettings("local", options);
  const [driver, maxSize] = ["json-file", 20 << 20] as const;
  assert.deepEqual(json({}), { driver, maxSize, maxFile: 5, compress: false });
  assert.deepEqual(json({ "max-size": "1k" }), { driver, maxSize: 1000, maxFile: 1, compress: false });
  assert.deepEqual(json({ "max-size": "-1" }), { driver, maxSize: null, maxFile: 1, compress: false });
  assert.deepEqual(json({ compress: "true" }), { driver, maxSize, maxFile: 5, compress: true });
  assert.deepEqual(local({}), { driver: "local", maxSize, maxFile: 5, compress: true });
  assert.equal(readLogSettings("none", { any: "thing" }), null);
  const start = "failed to initialize logging driver: ";
  const wrong: [() => unknown, string][] = [
    [() => json({ "max-file": "0" }), `${start}max-file cannot be less than 1`],
    [() => json({ "max-file": "x" }), `${start}strconv.Atoi: parsing "x": invalid syntax`],
    [() => json({ "max-size": "0" }), `${start}max-size must be a positive number`],
    [() => json({ "max-size": "ten" }), `${start}invalid size: 'ten'`],
    [() => json({ "max-size": "10q" }), `${start}invalid suffix: 'q'`],
    [() => json({ compress: "perhaps" }), `${start}strconv.ParseBool: parsing "perhaps": invalid syntax`],
    [
      () => json({ compress: "true", "max-file": "1" }),
      `${start}compress cannot be true when max-file is less than 2 or max-size is not set`,
    ],
    [() => local({ "max-file": "1" }), `${start}compression cannot be enabled when max file count is 1`],
    [() => local({ "max-size": "x" }), `${start}invalid value for max-size: x: invalid size: 'x'`],
    [() => checkLogOptions("json-file", { nope: "1" }), "unknown log opt 'nope' for json-file log driver"],
    [() => checkLogOptions("local", { nope: "1" }), "unknown log opt 'nope' for log driver local"],
    [() => checkLogOptions("foo", {}), "logger: no log driver named 'foo' is registered"],
    [() => checkLogOptions("local", { mode: "x" }), "logger: logging mode not supported: x"],
    [
      () => checkLogOptions("local", { "max-buffer-size": "1m" }),
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    ],
    [
      () => checkLogOptions("local", { mode: "non-blocking", "max-buffer-size": "-1" }),
      "error parsing option max-buffer-size: invalid size: '-1'",
    ],
  ];
  for (const [body, message] of wrong) assert.throws(body, { message });
  checkLogOptions("local", { mode: "non-blocking", "max-buffer-size": "4m", tag: "x" });
});
