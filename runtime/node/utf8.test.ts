// The native codec must agree with the portable one on every input, valid or not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { portableUtf8 } from "../../base/bytes.ts";
import { nodeUtf8 } from "./utf8.ts";

test("Node's codec and the portable one agree on valid text and on any bytes, which survive both ways", () => {
  for (const text of ["", "plain", "\ufeffbom", "ü€😀", "a\udcffb"]) {
    assert.deepEqual(nodeUtf8.encode(text), portableUtf8.encode(text));
  }
  let state = 3;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) >> 8;
  for (let round = 0; round < 500; round++) {
    const bytes = Uint8Array.from({ length: random() % 24 }, () => random());
    const text = nodeUtf8.decode(bytes);
    assert.equal(text, portableUtf8.decode(bytes));
    assert.deepEqual(nodeUtf8.encode(text), bytes);
  }
});
