// The bytes of netlink messages, written out by hand from the kernel's headers. That the kernel takes them, and that
// `ip` and `nft` list what was meant, is test/path/docker-net.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { portableUtf8, toHex } from "../base/bytes.ts";
import { type Door, installDoor } from "./door.ts";
import * as nl from "./netlink.ts";
import * as route from "./netlink-route.ts";
import * as nft from "./nftables.ts";
import * as rule from "./nftables-expression.ts";

const text: Pick<Door, "encode" | "decode"> = {
  encode: portableUtf8.encode,
  decode: (bytes, start = 0, end = bytes.length) => portableUtf8.decode(bytes.subarray(start, end)),
};
installDoor(text as Door);

const hex = (bytes: Uint8Array) => toHex(bytes);
const plain = (spaced: string) => spaced.replace(/\s+/g, "");
const inet = (...bytes: number[]) => Uint8Array.from(bytes);

test("a bridge is made with name, hardware address and MTU, up at once", () => {
  const message = route.encodeNewBridge({ name: "br0", mac: inet(2, 0x42, 172, 17, 0, 1), mtu: 1500 }, 7);
  const expected = `
    4c000000 1000 0506 07000000 00000000
    00 00 0000 00000000 01000000 01000000
    0800 0300 62723000
    0a00 0100 0242ac110001 0000
    0800 0400 dc050000
    1000 1200  0b00 0100 62726964676500 00`;
  assert.equal(hex(message), plain(expected));
});

test("a veth pair is one message: one end on the bridge, the other in the namespace", () => {
  const peer = { namespace: 9, name: "eth0", mac: inet(2, 0x42, 172, 17, 0, 2) };
  const message = route.encodeNewVeth({ name: "veth1", bridge: 5, mtu: 1500, peer }, 1);
  const expected = `
    8c000000 1000 0506 01000000 00000000
    00 00 0000 00000000 01000000 01000000
    0a00 0300 766574683100 0000
    0800 0400 dc050000
    0800 0a00 05000000
    5000 1200
      0900 0100 7665746800 000000
      4000 0200
        3c00 0100
          00 00 0000 00000000 00000000 00000000
          0900 0300 6574683000 000000
          0a00 0100 0242ac110002 0000
          0800 0400 dc050000
          0800 1c00 09000000`;
  assert.equal(hex(message), plain(expected));
});

test("an address carries its broadcast address, whatever the prefix's length", () => {
  const cases: [number, string][] = [
    [16, "ac11ffff"],
    [20, "ac110fff"],
    [24, "ac1100ff"],
    [29, "ac110007"],
  ];
  for (const [length, broadcast] of cases) {
    const message = route.encodeNewAddress(3, { address: inet(172, 17, 0, 2), length }, 1);
    const attributes = `0800 0200 ac110002  0800 0100 ac110002  0800 0400 ${broadcast}`;
    const header = `30000000 1400 0506 01000000 00000000  02 ${length.toString(16).padStart(2, "0")} 00 00 03000000`;
    assert.equal(hex(message), plain(`${header} ${attributes}`));
  }
});

test("a default route has a gateway and no destination", () => {
  const expected = "24000000 1800 0506 01000000 00000000  02 00 00 00 fe 03 00 01 00000000  0800 0500 ac110001";
  assert.equal(hex(route.encodeDefaultRoute(inet(172, 17, 0, 1), 1)), plain(expected));
});

test("a transaction stands between begin and end, each message with a sequence number of its own", () => {
  let sequence = 40;
  const messages = new nft.Transaction().addTable("t").encode(() => sequence++);
  const expected = [
    "14000000 1000 0100 28000000 00000000 00 00 000a",
    "1c000000 000a 0104 29000000 00000000 02 00 0000 0600 0100 7400 0000",
    "14000000 1100 0100 2a000000 00000000 00 00 000a",
  ];
  assert.deepEqual(messages.map(hex), expected.map(plain));
});

test("a map's element is a concatenated key and value, each part filled up to four bytes", () => {
  const key = rule.concatenated([inet(6), inet(0x1f, 0x90)]);
  const value = rule.concatenated([inet(172, 17, 0, 2), inet(0, 80)]);
  const [, message] = new nft.Transaction().addElements("t", "m", [{ key, value }]).encode(() => 1);
  const expected = `
    4c000000 0c0a 0104 01000000 00000000 02 00 0000
    0600 0100 7400 0000
    0600 0200 6d00 0000
    2800 0380
      2400 0180
        1000 0180  0c00 0100 06000000 1f900000
        1000 0280  0c00 0100 ac110002 00500000`;
  assert.equal(hex(message!), plain(expected));
});

test("many elements are spread over several messages, as a list's length has sixteen bits", () => {
  const elements = Array.from({ length: 1001 }, (_none, at) => ({
    key: inet(at >> 8, at & 255, 0, 0),
    value: inet(1, 2, 3, 4),
  }));
  const messages = new nft.Transaction().addElements("t", "m", elements).encode(() => 1);
  assert.equal(messages.length, 2 + 3);
  for (const message of messages) assert.ok(message.length < 65_536);
});

test("a rule is a list of named expressions", () => {
  const expressions = [...rule.outgoingIs("br0"), rule.verdict("drop")];
  const [, message] = new nft.Transaction().addRule({ table: "t", chain: "c" }, expressions).encode(() => 1);
  const expected = `
    b4000000 060a 010c 01000000 00000000 02 00 0000
    0600 0100 7400 0000
    0600 0200 6300 0000
    9000 0480
      2400 0180  0900 0100 6d65746100 000000  1400 0280  0800 0200 00000007  0800 0100 00000001
      3800 0180  0800 0100 636d7000  2c00 0280  0800 0100 00000001  0800 0200 00000000
        1800 0380  1400 0100 62723000 000000000000000000000000
      3000 0180  0e00 0100 696d6d65646961746500 0000  1c00 0280  0800 0100 00000000
        1000 0280  0c00 0280  0800 0100 00000000`;
  assert.equal(hex(message!), plain(expected));
});

test("a refusal gives the errno and the kernel's sentence", () => {
  const verdicts: nl.Verdict[] = [];
  // nlmsghdr ERROR with CAPPED and ACK_TLVS; -EEXIST; the request's header; attribute 1: "no"
  const datagram = `
    2c000000 0200 0003 05000000 00000000
    efffffff 20000000 1000 0506 05000000 00000000
    0700 0100 6e6f00 00`;
  nl.splitDatagram(bytesOf(datagram), [], verdicts);
  assert.deepEqual(verdicts, [{ sequence: 5, errno: 17, sentence: "no" }]);
});

test("a damaged datagram gives what is whole in it and ends", () => {
  const whole = "14000000 1000 0000 01000000 00000000 01020304";
  for (const tail of ["", "ff", "ffffffff 1000 0000 01000000 00000000", "08000000 1000 0000 01000000 00000000"]) {
    const answers: nl.Answer[] = [];
    nl.splitDatagram(bytesOf(`${whole} ${tail}`), answers, []);
    assert.deepEqual(
      answers.map((answer) => hex(answer.body)),
      ["01020304"],
    );
  }
  assert.deepEqual(nl.attributeList(bytesOf("0800 0100 01020304  0300 0200")), [[1, inet(1, 2, 3, 4)]]);
  assert.deepEqual(nl.attributeList(bytesOf("ff00 0100 01020304")), []);
});

function bytesOf(spaced: string) {
  return Uint8Array.from(plain(spaced).match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
