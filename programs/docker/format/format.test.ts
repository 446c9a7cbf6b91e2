// Tables and units against what the original prints.

import assert from "node:assert/strict";
import { test } from "node:test";
import { humanDuration } from "../../../base/human.ts";
import { alignTabs } from "./table.ts";
import { binarySize, humanSize, parseMemory } from "./units.ts";

test("columns are at least ten wide and three apart", () => {
  assert.equal(
    alignTabs("ID\tNAME\tLAST\nlonger than ten\tx\ty"),
    "ID                NAME      LAST\nlonger than ten   x         y",
  );
});

test("sizes and durations read as Docker writes them", () => {
  assert.equal(humanSize(1982000, 3), "1.98MB");
  assert.equal(humanSize(1982000), "1.982MB");
  assert.equal(humanSize(0), "0B");
  assert.equal(binarySize(25277235200), "23.54GiB");
  for (const [milliseconds, words] of [
    [400, "Less than a second"],
    [61_000, "About a minute"],
    [3_600_000, "About an hour"],
    [86_400_000 * 15, "2 weeks"],
    [86_400_000 * 800, "2 years"],
  ] as const) {
    assert.equal(humanDuration(milliseconds), words);
  }
});

test("memory sizes are read in powers of 1024", () => {
  assert.equal(parseMemory("512m"), 512 * 1024 * 1024);
  assert.equal(parseMemory("1.5 GiB"), 1.5 * 1024 ** 3);
  assert.throws(() => parseMemory("x"), { message: "invalid size: 'x'" });
});
