// Lines and parts of the shim's logs, with a door that knows only the time and what the host makes of lines.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LogEntry } from "../../../api/task/gen/log_entry.ts";
import { type Door, installDoor } from "../../../linux/door.ts";
import { JsonRecords } from "./json-records.ts";
import { LogLines } from "./lines.ts";
import { LocalRecords } from "./local-records.ts";
import type { LogFile } from "./logfile.ts";
import type { RecordFormat } from "./records.ts";

const PART = 16384;

/** What host/src/lines.rs does, said once more and slowly. */
function records(...args: Parameters<Door["records"]>): void {
  const [from, into, prefix, suffix, cursor] = args;
  const [framed, fragment] = [(cursor[0]! & 1) !== 0, (cursor[0]! & 2) !== 0];
  while ((cursor[1]! < cursor[2]! || (fragment && cursor[5] === 0)) && cursor[3]! < cursor[4]!) {
    const newline = from.indexOf(10, cursor[1]);
    const end = fragment ? cursor[2]! : newline < 0 ? cursor[2]! : newline;
    const line = from.subarray(cursor[1], end);
    if (!fragment && (end === cursor[2] || line.length >= PART)) return;
    const text = JSON.stringify(Buffer.from(line).toString()).slice(1, -1);
    const field = [Buffer.from(LogEntry.encode(LogEntry.create({ line })))];
    const body = Buffer.concat([prefix, ...(framed ? field : [Buffer.from(text)]), suffix]);
    const length = Buffer.alloc(framed ? 4 : 0);
    if (framed) length.writeUInt32BE(body.length);
    if (into.length - cursor[3]! < prefix.length + suffix.length + line.length * 6 + 12) return;
    cursor[3]! += Buffer.concat([length, body, length]).copy(into, cursor[3]);
    cursor[1] = end + (fragment ? 0 : 1);
    cursor[5]!++;
  }
}

function write(chunks: readonly Uint8Array[], format: RecordFormat = new JsonRecords({})): Buffer {
  const syscall: Door["syscall"] = (_number, ...args) => {
    for (const arg of args) if (arg instanceof BigInt64Array) arg[0] = 1_700_000_000n;
    return 0;
  };
  installDoor({ syscall, records, encode: Buffer.from } as Partial<Door> as Door);
  const parts: Buffer[] = [];
  const file: Pick<LogFile, "append" | "room" | "look"> = {
    room: 100_000,
    look: () => {},
    append(bytes, count) {
      assert.deepEqual(format.whole(bytes, bytes.length), { records: count, length: bytes.length });
      parts.push(Buffer.from(bytes));
    },
  };
  const lines = new LogLines(file as LogFile, format, { stdout: null, stderr: null });
  for (const chunk of chunks) lines.write("stdout", chunk);
  lines.end("stdout");
  return Buffer.concat(parts);
}

function json(chunks: readonly Uint8Array[]): { log: string; stream: string }[] {
  return write(chunks)
    .toString()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

function local(...chunks: Uint8Array[]): LogEntry[] {
  const bytes = write(chunks, new LocalRecords({}));
  const entries: LogEntry[] = [];
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) {
    entries.push(LogEntry.decode(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at))));
  }
  return entries;
}

function logs(...chunks: string[]): string[] {
  return json(chunks.map((chunk) => Buffer.from(chunk))).map((entry) => entry.log);
}

test("lines are whole however the bytes arrive", () => {
  assert.deepEqual(logs("a\nb", "c", "\n", "\n", "d"), ["a\n", "bc\n", "\n", "d"]);
  const text = Array.from({ length: 999 }, (_, at) => `line ${at}\n`).join("");
  for (const step of [1, 7, 4096]) {
    const chunks = Array.from({ length: Math.ceil(text.length / step) }, (_, at) =>
      text.slice(at * step, (at + 1) * step),
    );
    assert.equal(logs(...chunks).join(""), text);
    assert.equal(logs(...chunks).length, 999);
  }
});

test("a long line goes out in parts, the last of which ends it", () => {
  const lengths = (...chunks: string[]) => logs(...chunks).map((log) => log.length);
  assert.deepEqual(lengths(`${"x".repeat(PART)}\n`), [PART, 1]);
  assert.deepEqual(lengths("x".repeat(PART - 1), "y\n"), [PART, 1]);
  assert.deepEqual(lengths("x".repeat(100), "y".repeat(2 * PART), "z\nw"), [PART, PART, 102, 1]);
});

test("a part never divides a character", () => {
  for (let before = 0; before < 4; before++) {
    const text = "a".repeat(before) + "€".repeat(6000) + "😀".repeat(6000);
    const whole = logs(`${text}\n`);
    assert.equal(whole.join(""), `${text}\n`);
    const bytes = Buffer.from(`${text}\n`);
    const pieces = [bytes.subarray(0, 5000), bytes.subarray(5000, 16385), bytes.subarray(16385)];
    assert.equal(
      json(pieces)
        .map((entry) => entry.log)
        .join(""),
      `${text}\n`,
    );
  }
});

test("attributes stand in every record of either format", () => {
  const attrs = { tag: "a\nb", "com.example": '"' };
  const [line] = write([Buffer.from("x\n")], new JsonRecords(attrs))
    .toString()
    .split("\n");
  assert.match(line!, /^\{"log":"x\\n","stream":"stdout","attrs":\{.*\},"time":"/);
  assert.deepEqual(JSON.parse(line!).attrs, attrs);
  const bytes = write([Buffer.from("x\n")], new LocalRecords(attrs));
  const entry = LogEntry.decode(bytes.subarray(4, bytes.length - 4));
  assert.deepEqual(Object.fromEntries(entry.attrs.map(({ key, value }) => [key, value])), attrs);
});

test("the local format keeps bytes as they are, and says of parts which line they are of", () => {
  const long = Buffer.alloc(2 * PART + 5, 0xe2);
  const entries = local(
    Buffer.from("\xff\n\n", "latin1"),
    long.subarray(0, 20000),
    long.subarray(20000),
    Buffer.from("\nend"),
  );
  assert.deepEqual(
    entries.map((entry) => Buffer.from(entry.line).toString("latin1").length),
    [1, 0, PART, PART, 5, 3],
  );
  assert.equal(entries[0]!.line[0], 0xff);
  const parts = entries.map(({ partialLogMetadata: part }) => part && [part.ordinal, part.last]);
  assert.deepEqual(parts, [null, null, [1, false], [2, false], [3, true], [1, false]]);
  const ids = entries.map((entry) => entry.partialLogMetadata?.id);
  assert(ids[2]!.length === 64 && ids[2] === ids[3] && ids[3] === ids[4]);
});

test("of a record that was cut short nothing counts", () => {
  for (const format of [new JsonRecords({}), new LocalRecords({})]) {
    const bytes = write([Buffer.from("one\ntwo\nthree\n")], format);
    const ends = [0, 1, 2, 3].map((count) =>
      write(
        [
          Buffer.from(
            "one\ntwo\nthree\n"
              .split(/(?<=\n)/)
              .slice(0, count)
              .join(""),
          ),
        ],
        format,
      ),
    );
    for (let length = 0; length <= bytes.length; length++) {
      const count = ends.filter((end) => end.length > 0 && end.length <= length).length;
      assert.deepEqual(format.whole(bytes, length), { records: count, length: ends[count]!.length });
    }
  }
});
