// The bytes of D-Bus messages against ones made by hand from the specification, and the text form of values.

import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../base/bytes.ts";
import { Decoder, decodeMessage, encodeCall, lengthOf, METHOD_CALL } from "./message.ts";
import { parseVariant } from "./text.ts";
import { type DbusValue, Reader, splitTypes, Writer } from "./value.ts";

const HELLO = [
  // little endian, call, no flags, version 1, no body, serial 1, fields of 109 bytes
  "6c010001 00000000 01000000 6d000000",
  // path
  "01016f00 15000000 2f6f7267 2f667265 65646573 6b746f70 2f444275 73000000",
  // interface
  "02017300 14000000 6f72672e 66726565 6465736b 746f702e 44427573 00000000",
  // member
  "03017300 05000000 48656c6c 6f000000",
  // destination
  "06017300 14000000 6f72672e 66726565 6465736b 746f702e 44427573 00000000",
];

const bytesOf = (...hex: readonly string[]) =>
  Uint8Array.from(hex.join("").replaceAll(" ", "").match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));

const hello = {
  serial: 1,
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "Hello",
  destination: "org.freedesktop.DBus",
  signature: "",
  body: [],
};

test("a call is the bytes of the specification", () => {
  assert.equal(toHex(encodeCall(hello)), toHex(bytesOf(...HELLO)));
});

const VALUES: readonly (readonly [type: string, value: DbusValue, hex: string])[] = [
  ["y", 7, "07"],
  ["b", true, "01000000"],
  ["q", 0xfffe, "feff"],
  ["u", 0xfffffffe, "feffffff"],
  ["t", (1n << 64n) - 1n, "ffffffffffffffff"],
  ["x", -2n, "feffffffffffffff"],
  ["d", 1.5, "000000000000f83f"],
  ["s", "foo", "03000000666f6f00"],
  ["g", "a(ss)", "056128737329 00"],
  ["au", [1, 2], "08000000 01000000 02000000"],
  ["ay", Uint8Array.of(1, 2, 3), "03000000 010203"],
  ["at", [], "00000000 00000000"],
  ["at", [5n], "08000000 00000000 0500000000000000"],
  ["(yt)", [1, 2n], "01000000000000000200000000000000"],
  ["v", { signature: "b", value: true }, "01620000 01000000"],
  ["a(ss)", [["/dev/null", "rwm"]], "18000000 00000000 09000000 2f6465762f6e756c6c00 0000 03000000 72776d00"],
  ["a{sv}", [["a", { signature: "u", value: 1 }]], "10000000 00000000 01000000 6100 01 75 00 000000 01000000"],
];
for (const [type, value, hex] of VALUES) {
  test(`a value of type ${type} is ${hex} and comes back from it`, () => {
    const writer = new Writer();
    writer.write(type, value);
    assert.equal(toHex(writer.bytes()), hex.replaceAll(" ", ""));
    assert.deepEqual(new Reader(writer.bytes()).read(type), value);
  });
}

test("a message comes back from its bytes, however they are cut", () => {
  const call = { ...hello, serial: 9, member: "Set", signature: "sba(sv)" };
  const body = ["unit", true, [["TasksMax", { signature: "t", value: 5n }]]] as const;
  const bytes = encodeCall({ ...call, body: body as unknown as DbusValue[] });
  assert.equal(lengthOf(bytes.subarray(0, 16)), bytes.length);
  const decoder = new Decoder();
  for (const byte of bytes) {
    assert.equal(decoder.message(), null);
    decoder.add(Uint8Array.of(byte));
  }
  const message = decoder.message()!;
  assert.equal(message.type, METHOD_CALL);
  assert.equal(message.member, "Set");
  assert.deepEqual(message.body, body);
});

test("a message cut short, or with lengths beyond its end, is refused", () => {
  const bytes = encodeCall({ ...hello, signature: "s", body: ["text"] });
  for (let end = 16; end < bytes.length; end++) {
    assert.throws(() => decodeMessage(bytes.subarray(0, end)), /malformed D-Bus message/);
  }
  assert.throws(() => new Reader(bytesOf("ffffffff 00000000")).read("as"), /array of 4294967295 bytes/);
  assert.throws(() => splitTypes("a"), /signature/);
  assert.throws(() => splitTypes("(s"), /signature/);
  assert.throws(() => splitTypes("a".repeat(100)), /signature/);
  const deep = bytesOf("017600".repeat(80));
  assert.throws(() => new Reader(deep).read("v"), /malformed D-Bus message/);
});

const TEXTS: readonly (readonly [text: string, signature: string, value: DbusValue])[] = [
  ["true", "b", true],
  ["5", "i", 5],
  ["-0x10", "i", -16],
  ["010", "i", 8],
  ["uint64 18446744073709551615", "t", (1n << 64n) - 1n],
  ["@t 30", "t", 30n],
  ["byte 255", "y", 255],
  ["1.5", "d", 1.5],
  ["1e3", "d", 1000],
  ["'it\\'s \\u0041'", "s", "it's A"],
  ['"control-group"', "s", "control-group"],
  ["objectpath '/a'", "o", "/a"],
  ["b'a\\x01'", "ay", Uint8Array.of(0x61, 1, 0)],
  ["['a.service', 'b.service']", "as", ["a.service", "b.service"]],
  ["@as []", "as", []],
  ["[uint32 1, 2]", "au", [1, 2]],
  ["{'a': <1>}", "a{sv}", [["a", { signature: "i", value: 1 }]]],
];
for (const [text, signature, value] of TEXTS) {
  test(`the text ${text} is a value of type ${signature}`, () => {
    assert.deepEqual(parseVariant(text), { signature, value });
  });
}

test("text that is no value is refused with a reason", () => {
  for (const text of [
    "",
    "tru",
    "[1, 'a']",
    "byte 256",
    "5 6",
    "'open",
    "[]",
    "@as 5",
    "{1}",
    "uint16 -1",
    "3000000000",
  ])
    assert.throws(() => parseVariant(text), Error, text);
});
