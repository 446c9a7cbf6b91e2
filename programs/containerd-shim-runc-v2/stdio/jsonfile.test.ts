// Lines and parts of the json-file log, with a door that only knows the time and how to escape.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Door, installDoor } from "../../../linux/door.ts";
import { MemoryLine } from "./held.ts";
import { JsonFile } from "./jsonfile.ts";
import type { LogFile } from "./logfile.ts";

const PART = 16384;

function write(chunks: readonly Uint8Array[]): { log: string; stream: string }[] {
  const door: Partial<Door> = {
    syscall: () => 0,
    escapeJson(from, start, end, into, at) {
      const text = JSON.stringify(Buffer.from(from.subarray(start, end)).toString()).slice(1, -1);
      return at + Buffer.from(text).copy(into, at);
    },
  };
  installDoor(door as Door);
  let text = "";
  const file: Pick<LogFile, "append" | "isFull"> = {
    isFull: () => false,
    append(bytes, lines) {
      const part = Buffer.from(bytes).toString();
      assert.equal(part.split("\n").length - 1, lines);
      assert(part.endsWith("}\n"));
      text += part;
    },
  };
  const json = new JsonFile(file as LogFile, { stdout: new MemoryLine(), stderr: new MemoryLine() });
  for (const chunk of chunks) json.write("stdout", chunk);
  json.end("stdout");
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

function logs(...chunks: string[]): string[] {
  return write(chunks.map((chunk) => Buffer.from(chunk))).map((entry) => entry.log);
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
      write(pieces)
        .map((entry) => entry.log)
        .join(""),
      `${text}\n`,
    );
  }
});
