// Structure-aware mutation: a JSON text becomes another that a careless reader would stumble over. Portable: the fuzz
// runs it inside QuickJS and, for whole programs, on Node.

import type { Random } from "./random.ts";
import { type Node, type Place, parseTree, placesOf, textOf } from "./tree.ts";

/** Numbers at and beyond the edges of what fields hold. */
const NUMBERS = [
  ...["0", "-0", "-1", "1", "0.5", "1e2", "1e999", "-1e999", "1e-400", "255", "256", "32767", "65535", "65536"],
  ...["2147483647", "2147483648", "-2147483648", "-2147483649", "4294967294", "4294967295", "4294967296", "4294967297"],
  ...["9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807"],
  ...["9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615"],
  ...["18446744073709551616", "1".repeat(400), `-${"9".repeat(40)}`, "00", "+1", "1.", ".5", "0x10", "NaN", "Infinity"],
];

const TEXTS = [
  ...["", " ", "\0", "a\0b", "/", "//", ".", "..", "../../../../..", "/..", "/proc/self/exe", "a/../..", "~", "-"],
  ...[
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "\u{1f980}",
    "é",
    "e\u0301",
    "\ufeff",
    "%s%n%d",
    "$HOME",
    "`id`",
    "\n",
    "\t\r",
  ],
  ...["__proto__", "constructor", "toString", "true", "null", "0", "-1", "4294967296", "a=b", "=", "a,b", "[]", "{}"],
];

const KEYS = ["__proto__", "constructor", "prototype", "toString", "", "\0", "length", "path", "type", "then"];
/** How deep, how many, how long: mostly modest, because every case costs time. */
const DEPTHS = [50, 50, 50, 600, 5000, 100_000];
const COUNTS = [2, 2, 2, 3, 30, 300, 5000];
const LENGTHS = [10, 100, 300, 5000, 5000, 70_000];

export interface Mutated {
  bytes: Uint8Array;
  /** Which operations were applied, for the report of a failure. */
  steps: string[];
}

/** One to four changes of the tree, and sometimes one of the bytes. */
export function mutate(text: string, random: Random, encode: (text: string) => Uint8Array): Mutated {
  const root: Node = { kind: "array", items: [parseTree(text)] };
  const steps: string[] = [];
  for (let left = random.oneIn(40) ? 0 : 1 + random.below(random.oneIn(3) ? 4 : 1); left > 0; left--) {
    const places = placesOf(root);
    if (places.length === 0) break;
    const place = places[random.oneIn(60) ? 0 : random.below(places.length)]!;
    const [name, change] = random.pick(CHANGES);
    steps.push(name);
    change(place, random, places);
  }
  let bytes = encode(root.items.map(textOf).join(""));
  if (random.oneIn(8)) {
    const [name, change] = random.pick(BYTE_CHANGES);
    steps.push(name);
    bytes = change(bytes, random);
  }
  return { bytes, steps };
}

type Change = (place: Place, random: Random, places: readonly Place[]) => void;

const raw = (text: string): Node => ({ kind: "raw", text });
const quoted = (text: string): Node => raw(JSON.stringify(text));

const CHANGES: readonly (readonly [name: string, change: Change])[] = [
  ["number", (place, random) => place.set(raw(random.pick(NUMBERS)))],
  ["number", (place, random) => place.set(raw(random.pick(NUMBERS)))],
  ["text", (place, random) => place.set(quoted(random.pick(TEXTS)))],
  ["text", (place, random) => place.set(quoted(random.pick(TEXTS)))],
  ["word", (place, random) => place.set(raw(random.pick(["null", "true", "false", "{}", "[]", '""', "nul", ""])))],
  ["remove", (place) => place.remove()],
  ["remove", (place) => place.remove()],
  ["edit", edit],
  ["edit", edit],
  [
    "long text",
    (place, random) => place.set(quoted(random.pick(["a", "/", "é", "\0", "../"]).repeat(random.pick(LENGTHS)))),
  ],
  ["into a list", ({ node, set }) => set({ kind: "array", items: [node] })],
  ["into an object", ({ node, set }, random) => set({ kind: "object", members: [[random.pick(KEYS), node]] })],
  ["number as text", ({ node, set }) => set(node.kind === "raw" ? quoted(node.text) : quoted("1"))],
  ["key twice", twice],
  ["another key", addMember],
  ["rename", rename],
  ["repeat", repeat],
  ["copy", ({ set }, random, places) => set(copyOf(random.pick(places).node))],
  ["swap", swap],
  ["nest", nest],
];

function edit({ node, set }: Place, random: Random): void {
  if (node.kind !== "raw" || node.text[0] !== '"') {
    set(raw(random.pick(NUMBERS)));
    return;
  }
  let text: string;
  try {
    text = JSON.parse(node.text) as string;
  } catch {
    set(quoted(""));
    return;
  }
  const at = random.below(text.length + 1);
  const piece = random.pick([...TEXTS, text]);
  set(quoted(random.oneIn(2) ? text.slice(0, at) + piece + text.slice(at) : text.slice(0, at)));
}

function twice({ node, set }: Place, random: Random): void {
  if (node.kind !== "object" || node.members.length === 0) {
    set(raw("0"));
    return;
  }
  const [key, value] = random.pick(node.members);
  node.members.push([key, random.oneIn(2) ? copyOf(value) : raw(random.pick(NUMBERS))]);
}

function addMember({ node, set }: Place, random: Random, places: readonly Place[]): void {
  if (node.kind !== "object") {
    set({ kind: "object", members: [] });
    return;
  }
  const value = random.oneIn(2) ? copyOf(random.pick(places).node) : raw(random.pick(["null", "1", '"x"', "{}", "[]"]));
  node.members.splice(random.below(node.members.length + 1), 0, [random.pick(KEYS), value]);
}

function rename({ node }: Place, random: Random): void {
  if (node.kind !== "object" || node.members.length === 0) return;
  const member = random.pick(node.members);
  member[0] = random.oneIn(2) ? member[0].toUpperCase() : `${member[0]}${random.pick(["\0", "s", " ", "é"])}`;
}

function repeat({ node, set }: Place, random: Random): void {
  if (node.kind !== "array") {
    set({ kind: "array", items: [node, copyOf(node)] });
    return;
  }
  const count = random.pick(COUNTS);
  const items = node.items.slice(0, 3);
  const many: Node[] = [];
  for (let at = 0; at < count; at++) many.push(...items);
  node.items = many;
}

function swap(place: Place, random: Random, places: readonly Place[]): void {
  const other = random.pick(places);
  const [one, two] = [copyOf(place.node), copyOf(other.node)];
  place.set(two);
  other.set(one);
}

function nest({ set }: Place, random: Random): void {
  const depth = random.pick(DEPTHS);
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"a":', "}"],
  ] as const);
  set(raw(`${open.repeat(depth)}1${random.oneIn(4) ? "" : close.repeat(depth)}`));
}

function copyOf(node: Node): Node {
  if (node.kind === "array") return { kind: "array", items: node.items.map(copyOf) };
  if (node.kind === "object")
    return { kind: "object", members: node.members.map(([key, value]) => [key, copyOf(value)]) };
  return { ...node };
}

const BYTE_CHANGES: readonly (readonly [name: string, change: (bytes: Uint8Array, random: Random) => Uint8Array])[] = [
  ["truncate", (bytes, random) => bytes.slice(0, random.below(bytes.length + 1))],
  ["flip", (bytes, random) => withBytes(bytes, random, (byte) => byte ^ (1 << random.below(8)))],
  ["bad UTF-8", (bytes, random) => withBytes(bytes, random, () => random.pick([0xff, 0xc0, 0xed, 0xf8, 0x80]))],
  ["control byte", (bytes, random) => withBytes(bytes, random, () => random.pick([0, 1, 10, 27, 127]))],
  ["random bytes", (bytes, random) => bytes.slice(0, 200).map(() => random.below(256))],
  ["twice over", (bytes) => joined(bytes, bytes)],
  ["tail of zeros", (bytes) => joined(bytes, new Uint8Array(64))],
  [
    "cut out",
    (bytes, random) => {
      const at = random.below(bytes.length + 1);
      return joined(bytes.slice(0, at), bytes.slice(at + random.below(20)));
    },
  ],
];

function withBytes(bytes: Uint8Array, random: Random, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice();
  for (let left = 1 + random.below(4); left > 0 && copy.length > 0; left--) {
    const at = random.below(copy.length);
    copy[at] = change(copy[at]!);
  }
  return copy;
}

function joined(one: Uint8Array, two: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}
