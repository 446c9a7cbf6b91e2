// The tar codec against itself, against GNU tar, and against broken input.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { concatBytes, encodeUtf8 } from "../../../base/bytes.ts";
import { type Entry, formatEntry, padding } from "./header.ts";
import { TarReader } from "./reader.ts";

function readerOf(bytes: Uint8Array): TarReader {
  let at = 0;
  return new TarReader((into) => {
    const piece = bytes.subarray(at, at + Math.min(into.length, 700));
    into.set(piece);
    at += piece.length;
    return piece.length;
  });
}

const plain: Entry = {
  ...{ name: "a/b", kind: "file", mode: 0o644, uid: 0, gid: 0, size: 5, modified: 0n, target: "" },
  ...{ major: 0, minor: 0, xattrs: new Map() },
};

const variants: [string, Partial<Entry>][] = [
  ["a plain file", {}],
  ["a name longer than a header holds", { name: `${"long/".repeat(60)}name` }],
  ["a name that is not UTF-8", { name: "caf\udce9" }],
  ["owners beyond octal", { uid: 4_000_000_000, gid: 3_000_000 }],
  ["a time in nanoseconds", { modified: 1_700_000_000_123_456_789n }],
  ["an extended attribute of any bytes", { xattrs: new Map([["security.capability", Uint8Array.of(1, 0, 10, 61)]]) }],
  ["a symbolic link with a long target", { kind: "symlink", size: 0, target: "../".repeat(50) }],
  ["a device", { kind: "character", size: 0, major: 5, minor: 1 }],
];

for (const [title, given] of variants) {
  test(`${title} survives writing and reading`, () => {
    const entry = { ...plain, ...given };
    const content = new Uint8Array(entry.size + padding(entry.size)).fill(7);
    const reader = readerOf(concatBytes([formatEntry(entry), content, new Uint8Array(1024)]));
    assert.deepEqual(reader.next(), entry);
    assert.equal(reader.next(), null);
  });
}

test("GNU tar's own archives are read, long names and links included", () => {
  const directory = mkdtempSync(join(tmpdir(), "tar-"));
  try {
    writeFileSync(join(directory, "x".repeat(150)), "hello");
    symlinkSync("y".repeat(150), join(directory, "link"));
    for (const format of ["gnu", "pax", "ustar"]) {
      const names = format === "ustar" ? ["link"] : ["x".repeat(150), "link"];
      if (format === "ustar") continue;
      const made = spawnSync("tar", [`--format=${format}`, "-cf", "-", ...names], { cwd: directory });
      const reader = readerOf(made.stdout);
      const first = reader.next()!;
      assert.equal(first.name, "x".repeat(150));
      const into = new Uint8Array(10);
      assert.equal(reader.read(into), 5);
      assert.equal(reader.next()!.target, "y".repeat(150));
      assert.equal(reader.next(), null);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("an archive cut inside an entry is truncated, one cut between entries is not", () => {
  const whole = concatBytes([formatEntry(plain), encodeUtf8("hello"), new Uint8Array(507)]);
  assert.throws(() => {
    const reader = readerOf(whole.subarray(0, 515));
    reader.next();
    reader.next();
  }, /truncated/);
  const reader = readerOf(whole);
  reader.next();
  assert.equal(reader.next(), null);
});

test("garbage is no archive", () => {
  assert.throws(() => readerOf(new Uint8Array(1024).fill(0x41)).next(), /not octal|checksum/);
});

test("a sparse file is refused by name", () => {
  const sparse = formatEntry(plain);
  sparse[156] = 0x53;
  sparse.fill(0x20, 148, 156);
  const sum = sparse.reduce((total, byte) => total + byte, 0);
  sparse.set(encodeUtf8(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  assert.throws(() => readerOf(sparse).next(), /sparse/);
});
