// runc is killed, or fails, at every named place of its commands, in the command itself, in its helper and in the
// container's first process. Afterwards `state` makes sense, `delete --force` clears all, and the id can be used again.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { FAILPOINT_NAMES } from "../../container/failpoints.ts";
import { buildCrashRunc } from "./runc/build.ts";
import { CrashLab } from "./runc/lab.ts";
import { breakOff, SCENARIOS } from "./runc/scenarios.ts";

const lab = new CrashLab(await buildCrashRunc());
after(() => lab[Symbol.dispose]());

describe("after the end of a process at a named place everything can be cleared", () => {
  for (const scenario of SCENARIOS) {
    test(scenario.name, () => {
      lab.configure(["sleep", "60"], scenario.bend);
      for (const place of scenario.places) {
        for (const action of ["kill", "fail"]) {
          const wrong = breakOff(lab, scenario, `${place}=${action}`);
          assert.deepEqual(wrong ?? [`${scenario.name} does not pass ${place}`], []);
        }
      }
    });
  }

  test("no place is left out", () => {
    const seen = new Set(SCENARIOS.flatMap(({ places }) => places));
    assert.deepEqual(
      FAILPOINT_NAMES.filter((name) => !seen.has(name)),
      [],
    );
  });
});

test("after all of this nothing is left", () => assert.deepEqual(lab.leftovers(), []));
