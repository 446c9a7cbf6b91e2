// The codec on messages made for it: every scalar at its edges, and input that no honest peer sends.

import assert from "node:assert/strict";
import test from "node:test";
import protobuf from "protobufjs";
import { Failure } from "../../base/errors.ts";
import { type Field, type GeneratedType, type MessageType, message, NESTING_LIMIT } from "./codec.ts";
import { Samples, toOurs, toTheirs, type Values } from "./samples.ts";

const SCALARS =
  "bool bytes double fixed32 fixed64 float int32 int64 sint32 sint64 sfixed32 sfixed64 string uint32 uint64".split(
    " ",
  ) as Extract<Field[2], string>[];

const All: GeneratedType<Values> = message<Values>("test.All", () => [
  ...SCALARS.map((type, at): Field => [at + 1, `one${at}`, type]),
  ...SCALARS.map((type, at): Field => [at + 101, `maybe${at}`, type, "maybe"]),
  ...SCALARS.map((type, at): Field => [at + 201, `many${at}`, type, "many"]),
  ...SCALARS.map((type, at): Field => [at + 301, `map${at}`, type, "map"]),
  [401, "self", All],
  [402, "selves", All, "map"],
]);

function schemaOfAll(): protobuf.Type {
  const rows = [
    ...SCALARS.map((type, at) => `${type} one${at} = ${at + 1};`),
    ...SCALARS.map((type, at) => `optional ${type} maybe${at} = ${at + 101};`),
    ...SCALARS.map((type, at) => `repeated ${type} many${at} = ${at + 201};`),
    ...SCALARS.map((type, at) => `map<string, ${type}> map${at} = ${at + 301};`),
    "All self = 401; map<string, All> selves = 402;",
  ];
  const text = `syntax = "proto3"; package test; message All { ${rows.join("\n")} }`;
  return protobuf.parse(text).root.lookupType("test.All");
}

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function refuses(type: MessageType<Values>, hex: string, words: RegExp): void {
  assert.throws(
    () => type.decode(bytesOf(hex)),
    (error) => error instanceof Failure && error.code === "invalid_argument" && words.test(error.message),
  );
}

test("every scalar type, alone, optional, repeated and in a map, is what protobufjs makes of it", () => {
  const theirs = schemaOfAll();
  const samples = new Samples(5);
  for (let round = 0; round < 50; round++) {
    const value = samples.message(All, 2);
    const bytes = All.encode(value);
    assert.equal(hexOf(bytes), hexOf(theirs.encode(theirs.create(toTheirs(All, value))).finish()));
    assert.deepEqual(All.decode(bytes), value);
    assert.deepEqual(toOurs(All, theirs.decode(bytes)), value);
  }
});

const Small: GeneratedType<Values> = message<Values>("test.Small", () => [
  [1, "text", "string"],
  [2, "signed", "int32"],
  [3, "wide", "int64"],
  [4, "list", "uint32", "many"],
  [5, "map", "string", "map"],
  [6, "inner", Small],
  [7, "inners", Small, "map"],
  [8, "maybe", "string", "maybe"],
]);

const GOLDEN: [title: string, values: Values, hex: string][] = [
  ["a text", { text: "hi" }, "0a 02 68 69"],
  ["-1 as int32 takes ten bytes", { signed: -1 }, "10 ff ff ff ff ff ff ff ff ff 01"],
  ["the least int64", { wide: -(2n ** 63n) }, "18 80 80 80 80 80 80 80 80 80 01"],
  ["numbers are packed", { list: [1, 300, 0] }, "22 04 01 ac 02 00"],
  ["a map entry is a message", { map: { k: "" } }, "2a 05 0a 01 6b 12 00"],
  ["an empty inner message is there", { inner: Small.create() }, "32 00"],
  ["an optional empty text is there", { maybe: "" }, "42 00"],
];

for (const [title, values, hex] of GOLDEN) {
  test(`golden bytes: ${title}`, () => {
    const value = Small.create(values);
    assert.equal(hexOf(Small.encode(value)), hex.replaceAll(" ", ""));
    assert.deepEqual(Small.decode(bytesOf(hex)), value);
  });
}

test("repeated numbers are read packed, unpacked and mixed", () => {
  assert.deepEqual(Small.decode(bytesOf("20 01 22 02 02 03 20 04"))["list"], [1, 2, 3, 4]);
});

test("of a scalar that comes twice the last one counts", () => {
  assert.equal(Small.decode(bytesOf("0a 01 61 0a 01 62"))["text"], "b");
});

test("a map entry without key or value has their defaults", () => {
  assert.deepEqual(Small.decode(bytesOf("2a 00"))["map"], { "": "" });
  assert.deepEqual(Small.decode(bytesOf("3a 03 0a 01 6b"))["inners"], { k: Small.create() });
});

test("a map key __proto__ is a key like any other", () => {
  const bytes = bytesOf("2a 0e 0a 09 5f 5f 70 72 6f 74 6f 5f 5f 12 01 78");
  const map = Small.decode(bytes)["map"] as Values;
  assert.equal(Object.getPrototypeOf(map), Object.prototype);
  assert.deepEqual(Object.entries(map), [["__proto__", "x"]]);
  assert.deepEqual(Small.encode(Small.create({ map })), bytes);
});

test("bytes that are no UTF-8 come through a text unchanged", () => {
  const bytes = bytesOf("0a 03 61 ff 62");
  assert.deepEqual(Small.encode(Small.decode(bytes)), bytes);
});

test("decoded bytes are a copy, so that the input's buffer may be used again", () => {
  const Blob = message<{ data: Uint8Array }>("test.Blob", () => [[1, "data", "bytes"]]);
  for (const input of [bytesOf("0a 02 01 02"), Buffer.from("0a020102", "hex")]) {
    const { data } = Blob.decode(input);
    input.fill(9);
    assert.deepEqual(data, Uint8Array.of(1, 2));
  }
});

const HOSTILE: [title: string, hex: string, words: RegExp][] = [
  ["field number 0", "02 00", /field number 0/],
  ["a lone tag", "0a", /middle of a field/],
  ["a length past the end", "0a 05 61", /past the end/],
  ["a length of 2^63", "0a 80 80 80 80 80 80 80 80 80 01", /past the end/],
  ["a length of 2^64 - 1 in an unknown field", "fa 3e ff ff ff ff ff ff ff ff ff 01", /past the end/],
  ["a varint that ends in the middle", "10 ff", /middle of a field/],
  ["a varint of eleven bytes", `10 ${"ff ".repeat(10)} 01`, /longer than ten bytes/],
  ["a 32-bit field cut short", "7d 01 02", /middle of a field/],
  ["a 64-bit field cut short", "79 01 02", /middle of a field/],
  ["a group", "7b 7c", /wire type 3/],
  ["wire type 7", "7f", /wire type 7/],
  ["a number where a text belongs", "08 01", /does not fit/],
  ["an inner message that runs past its own end", "32 02 0a 05 61 61 61 61 61", /past the end/],
  ["a packed list cut in the middle of a number", "22 01 ff", /middle of a field/],
];

for (const [title, hex, words] of HOSTILE) {
  test(`refused: ${title}`, () => refuses(Small, hex, words));
}

test(`more than ${NESTING_LIMIT} messages inside messages are refused, in fields and in maps`, () => {
  const nest = (depth: number, wrap: (value: Values) => Values) => {
    let value = Small.create();
    for (let at = 0; at < depth; at++) value = Small.create(wrap(value));
    return hexOf(Small.encode(value));
  };
  const wraps = [(inner: Values) => ({ inner }), (value: Values) => ({ inners: { k: value } })];
  for (const wrap of wraps) {
    Small.decode(bytesOf(nest(NESTING_LIMIT, wrap)));
    refuses(Small, nest(NESTING_LIMIT + 1, wrap), /nested messages/);
  }
});
