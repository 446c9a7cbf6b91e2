// runc is killed at, or told of an I/O error by, system calls of its commands, counted in the command itself, in its
// helper and in the container's first process: crashes where nobody thought of naming a place. Afterwards `state`
// makes sense, `delete --force` clears all, and the id can be used again.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { buildCrashRunc } from "./runc/build.ts";
import { CrashLab } from "./runc/lab.ts";
import { breakOff, SCENARIOS } from "./runc/scenarios.ts";

const lab = new CrashLab(await buildCrashRunc());
after(() => lab[Symbol.dispose]());
/** Every how many system calls one is tried; `GANTRY_EVERY_CALL=1` takes them all, which takes an hour. */
const STRIDE = Number(process.env["GANTRY_EVERY_CALL"] ?? 48);
/** Deeper than any process is below the command. */
const DEPTHS = [0, 1, 2];
const EIO = 5;

describe("after a kill at, or the failure of, a system call everything can be cleared", () => {
  for (const scenario of SCENARIOS.filter(({ early }) => early !== true)) {
    test(scenario.name, () => {
      lab.configure(["sleep", "60"], scenario.bend);
      const wrong: string[] = [];
      for (const depth of DEPTHS) {
        for (const action of ["kill", `errno-${EIO}`]) {
          // The start differs by scenario and depth, so that all of them together see different calls.
          const first = 1 + ((scenario.name.length + depth) % STRIDE);
          for (let call = first; ; call += STRIDE) {
            const found = breakOff(lab, scenario, `${depth}:${call}=${action}`);
            if (found === null) break;
            wrong.push(...found);
          }
        }
      }
      assert.deepEqual(wrong, []);
    });
  }
});

test("after all of this nothing is left", () => assert.deepEqual(lab.leftovers(), []));
