// Frames and JSON streams in any splitting, and the words that decide exit codes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeUtf8, encodeUtf8, toHex } from "../../base/bytes.ts";
import { encodeFrame, FrameDecoder } from "./frames.ts";
import { exitCodeOfStartFailure } from "./messages.ts";
import { JsonLines } from "./progress.ts";
import { compareApiVersions } from "./version.ts";

test("a frame has the golden bytes", () => {
  assert.equal(toHex(encodeFrame("stderr", encodeUtf8("hi"))), "02000000000000026869");
});

test("frames come out the same however their bytes are split", () => {
  const bytes = concatBytes([
    encodeFrame("stdout", encodeUtf8("one ")),
    encodeFrame("stderr", encodeUtf8("")),
    encodeFrame("stderr", encodeUtf8("two ")),
    encodeFrame("stdout", new Uint8Array(300).fill(65)),
  ]);
  for (let size = 1; size < 20; size++) {
    const decoder = new FrameDecoder();
    const text = { stdout: "", stderr: "", stdin: "", failure: "" };
    for (let at = 0; at < bytes.length; at += size) {
      for (const part of decoder.push(bytes.subarray(at, at + size))) text[part.stream] += decodeUtf8(part.payload);
    }
    assert.equal(text.stdout, `one ${"A".repeat(300)}`);
    assert.equal(text.stderr, "two ");
    assert.ok(decoder.atBoundary);
  }
});

test("an unknown stream number and a giant length are refused", () => {
  assert.throws(() => new FrameDecoder().push(Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 1)), /Unrecognized stream: 9/);
  assert.throws(() => new FrameDecoder().push(Uint8Array.of(1, 0, 0, 0, 255, 0, 0, 1)), /too large/);
});

test("JSON lines are found across pieces, with and without a last line feed", () => {
  const text = encodeUtf8('{"a":1}\r\n{"b":"ü"}\n\n{"c":3}');
  for (let size = 1; size < 12; size++) {
    const lines = new JsonLines();
    const values: unknown[] = [];
    for (let at = 0; at < text.length; at += size) values.push(...lines.push(text.slice(at, at + size)));
    values.push(lines.end());
    assert.deepEqual(values, [{ a: 1 }, { b: "ü" }, { c: 3 }]);
  }
});

test("exit codes follow the daemon's words", () => {
  assert.equal(exitCodeOfStartFailure('exec: "x": executable file not found in $PATH'), 127);
  assert.equal(exitCodeOfStartFailure('exec: "/x": stat /x: no such file or directory'), 127);
  assert.equal(exitCodeOfStartFailure('exec: "/etc": permission denied'), 126);
  assert.equal(exitCodeOfStartFailure('exec: "/etc": is a directory'), 126);
  assert.equal(exitCodeOfStartFailure("Conflict."), 125);
  assert.ok(compareApiVersions("1.9", "1.41") < 0);
});
