// What a runtime's log says about its failure.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lastError } from "./runc.ts";

test("the reason is the last line of level error, whatever stands around it", () => {
  const log = [
    '{"level":"error","msg":"first","time":"t"}',
    '{"level":"error","msg":"exec: \\"x\\": executable file not found in $PATH"}',
    '{"level":"warning","msg":"later"}',
    "no JSON at all",
    "",
  ];
  assert.equal(lastError(log.join("\n")), 'exec: "x": executable file not found in $PATH');
  assert.equal(lastError(""), null);
  assert.equal(lastError('{"level":"info","msg":"fine"}\n{"level":"err'), null);
});
