// containerd-unpack on archives made by GNU tar and by hand: what it makes of good ones, what it refuses of bad ones,
// and that nothing outside of the root is ever touched.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import { type Entry, formatEntry, padding } from "../../core/archive/tar/header.ts";
import { layout } from "../../tools/build/paths.ts";

const PROGRAM = join(layout.bin, "containerd-unpack");
const skip = process.getuid?.() === 0 && fs.existsSync(PROGRAM) ? false : "needs root and a build";
const folder = fs.mkdtempSync(join(tmpdir(), "gantry-unpack-"));
let count = 0;

before(() => fs.writeFileSync(join(folder, "outside"), "untouched"));
after(() => fs.rmSync(folder, { recursive: true }));

function layer(): string {
  const path = join(folder, `layer${count++}`);
  fs.mkdirSync(path);
  return path;
}

function overlay(upper: string, lower: readonly string[]) {
  const work = `${upper}-work`;
  fs.mkdirSync(work, { recursive: true });
  const options = ["index=off", `workdir=${work}`, `upperdir=${upper}`, `lowerdir=${lower.join(":")}`];
  return { type: "overlay", source: "overlay", target: "", options };
}

const bind = (source: string) => ({ type: "bind", source, target: "", options: [] });

function mountpoint(): string {
  const path = join(folder, `mnt${count++}`);
  fs.mkdirSync(path);
  return path;
}

function apply(mount: unknown, archive: Uint8Array) {
  const request = JSON.stringify({ mounts: [mount], mountpoint: mountpoint() });
  const result = spawnSync(PROGRAM, ["apply", request], { input: archive, timeout: 20_000 });
  return { status: result.status, error: result.stderr.toString() };
}

function diff(lower: unknown[], upper: unknown): string[] {
  const request = JSON.stringify({ lower, upper: [upper], mountpoints: [mountpoint(), mountpoint()] });
  const result = spawnSync(PROGRAM, ["diff", request], { timeout: 20_000 });
  assert.equal(result.status, 0, result.stderr.toString());
  return spawnSync("tar", ["tf", "-"], { input: result.stdout, encoding: "utf8" }).stdout.trim().split("\n").sort();
}

const plain: Entry = {
  ...{ name: "", kind: "file", mode: 0o644, uid: 0, gid: 0, size: 0, modified: 0n, target: "" },
  ...{ major: 0, minor: 0, xattrs: new Map() },
};

function archive(...entries: readonly (Partial<Entry> & { content?: string })[]): Uint8Array {
  const parts = entries.map(({ content, ...given }) => {
    const body = encodeUtf8(content ?? "");
    const entry = { ...plain, ...given, size: given.size ?? body.length };
    return concatBytes([formatEntry(entry), body, new Uint8Array(padding(body.length))]);
  });
  return concatBytes([...parts, new Uint8Array(1024)]);
}

describe("containerd-unpack", { skip }, () => {
  goodArchives();
  badArchives();
  differences();
});

function goodArchives(): void {
  test("owner, mode, time to the nanosecond, links, devices and attributes are as the archive says", () => {
    const root = layer();
    const xattrs = new Map([["user.note", encodeUtf8("kept")]]);
    const time = 1_600_000_000_123_456_789n;
    const result = apply(
      bind(root),
      archive(
        { name: "d", kind: "directory", mode: 0o1777, modified: time },
        { name: "d/file", mode: 0o4755, uid: 1000, gid: 4_000_000_000, modified: time, content: "hi", xattrs },
        { name: "d/hard", kind: "link", target: "d/file" },
        { name: "soft", kind: "symlink", target: "/etc/passwd" },
        { name: "d/pipe", kind: "fifo" },
        { name: "d/null", kind: "character", major: 1, minor: 3, mode: 0o666 },
      ),
    );
    assert.equal(result.status, 0, result.error);
    const file = fs.statSync(join(root, "d/file"), { bigint: true });
    assert.deepEqual([file.mode & 0o7777n, file.uid, file.gid, file.mtimeNs], [0o4755n, 1000n, 4_000_000_000n, time]);
    assert.equal(fs.statSync(join(root, "d/hard"), { bigint: true }).ino, file.ino);
    assert.equal(fs.statSync(join(root, "d"), { bigint: true }).mtimeNs, time);
    assert.equal(fs.readlinkSync(join(root, "soft")), "/etc/passwd");
    assert(fs.statSync(join(root, "d/pipe")).isFIFO());
    assert.equal(fs.statSync(join(root, "d/null")).rdev, 0x103);
    const noted = spawnSync("getfattr", ["-n", "user.note", "--only-values", join(root, "d/file")], {
      encoding: "utf8",
    });
    if (noted.error === undefined) assert.equal(noted.stdout, "kept");
  });

  test("whiteouts hide what lower layers have, an opaque mark all of it but this layer's own", () => {
    const [lower, upper] = [layer(), layer()];
    fs.mkdirSync(join(lower, "dir/deep"), { recursive: true });
    for (const name of ["gone", "dir/old", "dir/deep/older", "stays"]) fs.writeFileSync(join(lower, name), "x");
    const mount = overlay(upper, [lower]);
    const result = apply(
      mount,
      archive({ name: ".wh.gone" }, { name: "dir/new", content: "y" }, { name: "dir/.wh..wh..opq" }),
    );
    assert.equal(result.status, 0, result.error);
    assert.deepEqual(diff([], mount), ["dir/", "dir/new", "stays"]);
    assert.doesNotMatch(fs.readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(folder));
  });
}

function badArchives(): void {
  const refused: [what: string, bytes: () => Uint8Array, words: RegExp][] = [
    ["a name above the root", () => archive({ name: "../outside", content: "x" }), /outside of the root/],
    ["a hard link to nothing", () => archive({ name: "a", kind: "link", target: "b" }), /no such file/],
    ["a raw overlay whiteout", () => archive({ name: "a", kind: "character" }), /raw overlay whiteout/],
    ["an end in the middle", () => archive({ name: "a", content: "x".repeat(5000) }).subarray(0, 2000), /truncated/],
    ["garbage", () => new Uint8Array(2048).fill(0x41), /archive: a header/],
    ["a whiteout of the parent", () => archive({ name: "d/.wh..." }), /invalid whiteout|./],
  ];
  for (const [what, bytes, words] of refused) {
    test(`${what} is refused with a sentence`, () => {
      const root = layer();
      const result = apply(bind(root), bytes());
      assert.equal(result.status, 1);
      assert.match(JSON.parse(result.error.trim().split("\n").at(-1)!).message, words);
      assert.equal(fs.readFileSync(join(folder, "outside"), "utf8"), "untouched");
    });
  }

  test("a link out of the root leads back into it, for files and for hard links", () => {
    const root = layer();
    const result = apply(
      bind(root),
      archive(
        { name: "escape", kind: "symlink", target: folder },
        { name: "escape/outside", content: "replaced" },
        { name: "up", kind: "symlink", target: "../../../../.." },
        { name: `up${folder}/outside`, content: "replaced" },
      ),
    );
    assert.equal(result.status, 0, result.error);
    assert.equal(fs.readFileSync(join(folder, "outside"), "utf8"), "untouched");
    assert.equal(fs.readFileSync(join(root, folder, "outside"), "utf8"), "replaced");
    const stolen = apply(bind(layer()), archive({ name: "stolen", kind: "link", target: join(folder, "outside") }));
    assert.equal(stolen.status, 1);
  });

  test("attributes that steer overlayfs are dropped", () => {
    const root = layer();
    const xattrs = new Map([["trusted.overlay.redirect", encodeUtf8("/etc")]]);
    assert.equal(apply(bind(root), archive({ name: "d", kind: "directory", xattrs })).status, 0);
    const listed = spawnSync("getfattr", ["-d", "-m", "-", join(root, "d")], { encoding: "utf8" });
    if (listed.error === undefined) assert.equal(listed.stdout, "");
  });
}

function differences(): void {
  test("a difference names what is new, changed and gone, and applies to the same tree", () => {
    const [lower, upper, other] = [layer(), layer(), layer()];
    fs.mkdirSync(join(lower, "d/e"), { recursive: true });
    for (const name of ["same", "d/changed", "d/e/gone"]) fs.writeFileSync(join(lower, name), name);
    const mount = overlay(upper, [lower]);
    const change = archive(
      { name: "d/changed", content: "now longer than before" },
      { name: "d/e/.wh.gone" },
      { name: "n/new", content: "n" },
    );
    assert.equal(apply(mount, change).status, 0);
    const changes = diff([bind(lower)], mount);
    assert.deepEqual(changes, ["d/", "d/changed", "d/e/", "d/e/.wh.gone", "n/", "n/new"].sort());
    const request = JSON.stringify({ lower: [bind(lower)], upper: [mount], mountpoints: [mountpoint(), mountpoint()] });
    const made = spawnSync(PROGRAM, ["diff", request]).stdout;
    const second = overlay(other, [lower]);
    assert.equal(apply(second, made).status, 0);
    assert.deepEqual(diff([mount], second), [""]);
  });
}
