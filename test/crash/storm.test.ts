// A short storm (test/crash/storm; the long one is `npm run storm`).

import assert from "node:assert/strict";
import { test } from "node:test";
import { StormLab } from "./storm/lab.ts";
import { Storm } from "./storm/storm.ts";

const ROUNDS = 12;
const SEED = 20;

test("whatever is killed at any moment, no container and no line is lost, and nothing is left", async () => {
  await using lab = new StormLab();
  await lab.up();
  const said: string[] = [];
  const storm = new Storm(lab, SEED, { say: (line) => void said.push(line), hold: false });
  for (let number = 1; number <= ROUNDS; number++) await storm.round(number);
  assert.deepEqual(storm.figures.defects, [], said.join("\n"));
});
