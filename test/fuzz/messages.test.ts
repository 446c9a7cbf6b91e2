// Messages between the stages as something else: half of what parent, helper or child says is mutated on its way. The
// commands end with a sentence or go through, nothing hangs, and all can be cleared.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { buildCrashRunc } from "../crash/runc/build.ts";
import { CrashLab } from "../crash/runc/lab.ts";
import { breakOff, SCENARIOS } from "../crash/runc/scenarios.ts";

const lab = new CrashLab(await buildCrashRunc());
after(() => lab[Symbol.dispose]());
/** Seeds for each process of each command. */
const SEEDS = Number(process.env["GANTRY_MESSAGE_SEEDS"] ?? 8);

for (const scenario of SCENARIOS.filter(({ name }) =>
  ["create", "create through a helper", "run", "exec"].includes(name),
)) {
  test(`${scenario.name} survives messages that say something else`, () => {
    lab.configure(["sleep", "60"], scenario.bend);
    for (const depth of [0, 1, 2]) {
      for (let seed = 1; seed <= SEEDS; seed++) {
        assert.deepEqual(breakOff(lab, scenario, `${depth}:say=garbage-${seed}`) ?? [], []);
      }
    }
  });
}
