// How the checkpoint commands read what is more than a word.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pageServerOf } from "./criu-flags.ts";

test("a page server is an address and a port, a v6 address in brackets", () => {
  assert.equal(pageServerOf(""), null);
  assert.deepEqual(pageServerOf("0.0.0.0:27277"), { address: "0.0.0.0", port: 27277 });
  assert.deepEqual(pageServerOf("[::1]:1"), { address: "::1", port: 1 });
});

for (const text of ["localhost", ":80", "::1:80", "host:"]) {
  test(`"${text}" is no address and port`, () => {
    assert.throws(() => pageServerOf(text), /Use --page-server ADDRESS:PORT to specify page server/);
  });
}

test("a port that is no number is refused", () => {
  assert.throws(() => pageServerOf("host:http"), /Invalid port number/);
});
