// The plain implementation beside OpenSSL's.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { toHex } from "./bytes.ts";
import { sha256 } from "./sha256.ts";

test("sha256 agrees with OpenSSL on messages of every length around the block's end", () => {
  for (let length = 0; length < 200; length++) {
    const message = Uint8Array.from({ length }, (_, at) => (at * 7 + length) & 255);
    assert.equal(toHex(sha256(message)), createHash("sha256").update(message).digest("hex"));
  }
});
