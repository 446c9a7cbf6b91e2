// Heap images against bytecode: one small program, linked both ways, must behave the same; and building an image twice
// must give the same bytes, which also shows that nothing of the building process is left in it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { buildImage, runTopLevel } from "./image.ts";
import { type Linked, linkContent } from "./link.ts";
import { layout } from "./paths.ts";
import { type CompiledScript, compileScript, EXECUTABLES } from "./programs.ts";

/** What it prints is what a start could get wrong: its own arguments, the order of jobs begun before and after the heap
 *  was written out, objects of every kind made at the top level, the collector, the limit of the stack. */
const SCRIPT = `
const order = ["top"];
Promise.resolve().then(() => order.push("top's job"));
const seen = new Map([["a", 1], ["b", { deep: [1n << 70n, /x+/, new Date(0), Symbol("s")] }]]);
const kept = Array.from({ length: 5000 }, (_, at) => ({ at, text: "text " + at }));
const bytes = new Uint8Array(100000).fill(7);
class Thing { #own = 1; get own() { return this.#own++; } static made = new Thing(); }
const depth = (at) => { try { return depth(at + 1); } catch { return at; } };
const peak = (door) => {
  const usage = new BigInt64Array(18);
  door.syscall(98, 0, usage);
  return Number(usage[4]);
};
// Whatever of the image can be changed in place, because only one thing refers to it, must not be when more do by now.
let line = "a line with room behind it".slice(0, 10) + "!";
const record = { first: 1 };
const twin = { first: 1 };
const bare = Object.assign(Object.create(null), { x: 1, y: 2, z: 3 });
delete bare.y;
let count = 0;
const step = () => ++count;
const rope = Array.from({ length: 200 }, (_, at) => "part " + at + "; ").reduce((all, one) => all + one);
const change = () => {
  const held = line;
  line += "?";
  const kept = rope;
  const copy = { ...record };
  for (let at = 0; at < 40; at++) record["field" + at] = { at };
  for (let at = 0; at < 40; at += 2) delete record["field" + at];
  for (let at = 0; at < 20; at++) bare["more" + at] = [bare];
  twin.first = "other";
  twin.second = record;
  Object.defineProperty(twin, "second", { enumerable: false });
  class More extends Thing { get own() { return super.own + 100; } }
  Thing.prototype.late = () => new More().own;
  Array.prototype.late = () => "late";
  for (let at = 0; at < 1000; at++) { step(); seen.set("key " + at, { back: seen }); }
  for (let at = 0; at < 1000; at++) seen.delete("key " + at);
  const weak = new WeakMap([[record, 1], [twin, 2]]);
  return [
    held, line, kept.length, kept === rope, copy, Object.keys(record).length, record.field39.at, Object.keys(bare),
    Object.keys(twin), twin.second === record, Thing.made.late(), [].late(), count, seen.size,
    weak.get(record), weak.get(twin), (() => { for (const name in { a: 1, ...bare }) return name; })(),
  ];
};
globalThis["image-test"] = (door) => {
  order.push("main");
  const changed = change();
  const before = peak(door);
  for (let at = 0; at < 400000; at++) { const one = { name: "cycle" }; one.self = { one }; }
  const grown = peak(door) - before;
  for (const one of kept.splice(0, 2500)) one.at = null;
  seen.set("c", bytes.reduce((sum, byte) => sum + byte, 0));
  Promise.resolve().then(() => order.push("main's job"));
  let turns = 0;
  door.idle = () => {
    order.push("idle");
    if (++turns < 2) return void Promise.resolve().then(() => order.push("idle's job"));
    const deep = seen.get("b").deep;
    const same = {
      args: door.args.slice(1), home: door.env.find((entry) => entry.startsWith("HOME=")), order, changed,
      grown: grown < 40000,
      kept: [kept.length, kept[0].text], own: [Thing.made.own, Thing.made.own], sum: seen.get("c"),
      deep: [String(deep[0]), deep[1].test("xx"), deep[2].toISOString(), String(deep[3])], stack: depth(0) > 1000,
    };
    const text = door.encode(JSON.stringify({ same, random: Math.random(), now: Date.now() }));
    door.syscall(1, 1, text, text.length);
    return 7;
  };
};
`;

const NAME = "image-test";
const path = (form: string) => join(layout.work, `${NAME}.${form}`);
let script: CompiledScript;

function link(): Linked {
  return { script, programs: [NAME], aliases: [], form: "image" };
}

before(() => {
  mkdirSync(layout.work, { recursive: true });
  script = compileScript(NAME, SCRIPT, { debug: false });
  linkContent(path("bytecode"), link(), { kind: "bytecode", file: script.code });
  buildImage(path("image"), link());
});

after(() => {
  for (const name of ["bytecode", "image", "room"]) {
    for (const tail of ["", ".table.s", ".heap", ".room.heap", ".room.table.s"]) {
      rmSync(path(name) + tail, { force: true });
    }
  }
  for (const tail of ["bin", "js", "digest", "touch.bin", "touch.js"])
    rmSync(join(layout.work, `${NAME}.${tail}`), { force: true });
});

interface Report {
  same: { args: string[]; home: string; order: string[]; grown: boolean; stack: boolean };
  random: number;
  now: number;
}

function start(form: string, args: readonly string[] = []): Report {
  const env = { HOME: `/home/${form.length}` };
  const { status, stdout, stderr } = spawnSync(path(form), args, { encoding: "utf8", env, timeout: 60_000 });
  assert.deepEqual([status, stderr], [7, ""]);
  return JSON.parse(stdout);
}

test("a program does the same from its heap image as from its bytecode", () => {
  const [image, bytecode] = [start("image", ["one", "zwölf"]), start("bytecode", ["one", "zwölf"])];
  assert.deepEqual(bytecode.same.args, ["one", "zwölf"]);
  assert.equal(image.same.home, "HOME=/home/5");
  assert.deepEqual({ ...image.same, home: null }, { ...bytecode.same, home: null });
  assert.deepEqual(image.same.order.slice(0, 3), ["top", "top's job", "main"]);
  assert(image.same.grown && image.same.stack);
});

test("each start has random numbers and a clock of its own", () => {
  const starts = [start("image"), start("image"), start("bytecode")];
  assert.equal(new Set(starts.map(({ random }) => random)).size, 3);
  assert(starts.every(({ now }) => Math.abs(now - Date.now()) < 600_000));
});

test("building a heap image twice gives the same bytes", () => {
  linkContent(path("room"), link(), { kind: "room" });
  const build = () => readFileSync((runTopLevel(path("room"), script) as { file: string }).file);
  const first = build();
  assert(first.length > 100_000);
  assert(first.equals(build()));
});

test("only the executable in which images are built can build them", () => {
  const output = join(layout.work, `${NAME}.refused`);
  spawnSync(path("image"), [script.code, script.touch, output], { timeout: 60_000 });
  assert.throws(() => readFileSync(output), { code: "ENOENT" });
});

test("the programs that ship say the same from bytecode", () => {
  const says = (executable: string, argv0: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(executable, args, { argv0, encoding: "utf8", timeout: 60_000 });
    return { status, stdout, stderr };
  };
  const asked: [string, string, string[]][] = [
    ["runc", "runc", ["--version"]],
    ["runc", "runc", ["features"]],
    ["runc", "runc", ["--help"]],
    ["runc", "containerd-shim-runc-v2", ["-v"]],
    ["docker", "docker", ["run", "--help"]],
    ["docker", "docker", ["nonsense"]],
    ["docker-init", "docker-init", ["-h"]],
    ["runc", "docker-proxy", ["-version"]],
    ["runc", "docker-net", ["--version"]],
    ["runc", "containerd-unpack", []],
  ];
  for (const { file, programs } of EXECUTABLES) {
    const code = join(layout.work, `${file}.bin`);
    const linked: Linked = { script: { code, touch: code }, programs, aliases: [], form: "bytecode" };
    linkContent(path("bytecode"), linked, { kind: "bytecode", file: code });
    for (const [, argv0, args] of asked.filter(([of]) => of === file)) {
      const shipped = says(join(layout.bin, file), argv0, args);
      assert.deepEqual(says(path("bytecode"), argv0, args), shipped, `${argv0} ${args.join(" ")}`);
    }
  }
});
