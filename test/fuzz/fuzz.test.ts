// A short run of the fuzz with every test run; `npm run fuzz` does the hundred thousand (main.ts).

import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzInside, fuzzKernel } from "./driver.ts";

const SEED = 20261125;

test("mutated files and messages end in a result or in a sentence", async () => {
  const { cases, defects } = await fuzzInside({ seed: SEED, cases: 2000 });
  assert.deepEqual(defects, []);
  assert.equal(cases, 2000);
});

test("whole programs given mutated files neither hang nor leave anything", async () => {
  const { cases, defects } = await fuzzKernel({ seed: SEED, cases: 80 });
  assert.deepEqual(defects, []);
  assert.equal(cases, 80);
});
