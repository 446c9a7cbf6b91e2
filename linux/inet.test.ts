// Addresses as text and bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, formatEndpoint, parseAddress } from "./inet.ts";

const cases: [text: string, printed: string | null][] = [
  ["0.0.0.0", "0.0.0.0"],
  ["10.1.2.255", "10.1.2.255"],
  ["10.1.2.256", null],
  ["10.1.2", null],
  ["", null],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6:7", null],
  ["1:2:3:4:5:6:7:8:9", null],
  ["1::2::3", null],
  ["1:2:3:4::5:6:7:8", null],
  ["::12345", null],
  [":1", null],
  ["fe80::1%eth0", null],
];

for (const [text, printed] of cases) {
  test(`${JSON.stringify(text)} is ${printed === null ? "no address" : printed}`, () => {
    const bytes = parseAddress(text);
    assert.equal(bytes === null ? null : formatAddress(bytes), printed);
  });
}

test("an IPv6 endpoint has brackets", () => {
  assert.equal(formatEndpoint({ address: parseAddress("::1")!, port: 80 }), "[::1]:80");
  assert.equal(formatEndpoint({ address: parseAddress("1.2.3.4")!, port: 80 }), "1.2.3.4:80");
});
