// containerd killed at any moment of a container's creation: after its return the container either runs or is gone, and
// deleting what runs leaves nothing: no shim, mount, bundle, snapshot, runtime state or cgroup.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Chain, describeChain, IMAGE, Stack, skipReason, until } from "../swap/stack.ts";

const ROUNDS = 9;
/** From before the first step of a run to after its last; milliseconds between two rounds' kills. */
const STEP = 22;

for (const side of ["original", "ours"] as const) {
  const chain: Chain = { ctr: "original", containerd: "ours", "containerd-shim-runc-v2": side, runc: side };
  describe(`killing ${describeChain(chain).split(", ")[1]} over the ${side} shim`, { skip: skipReason(chain) }, () => {
    const stack = new Stack(chain);
    before(() => stack.start());
    after(() => stack[Symbol.asyncDispose]());

    test("a container being created is there or gone after the daemon returns, and nothing is left of it", async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const name = `round${round}`;
        const run = stack.ctr("run", "-d", IMAGE, name, "sleep", "1000");
        await sleep(30 + round * STEP);
        await stack.stopContainerd("SIGKILL");
        await run;
        await stack.startContainerd();
        const tasks = (await stack.ctr("tasks", "ls")).stdout;
        const running = new RegExp(`^${name}\\s+\\d+\\s+(RUNNING|CREATED|STOPPED)$`, "m").test(tasks);
        assert(running || !tasks.includes(name), tasks);
        if (running) {
          await stack.ctr("tasks", "kill", "-s", "SIGKILL", name);
          await until("the task stops", async () => (await stack.ctr("tasks", "rm", name)).status === 0);
        }
        if ((await stack.ctr("containers", "ls", "-q")).stdout.includes(name)) {
          assert.equal((await stack.ctr("containers", "rm", name)).status, 0);
        }
      }
      // Go's shim kills its runc when the daemon's connection breaks in the middle of a create, and that runc leaves a
      // cgroup without a state that any delete could find it by.
      const left = () => stack.leftovers().filter((what) => side === "ours" || !what.startsWith("cgroup"));
      await until("nothing is left", () => left().length === 0).catch(() => {});
      assert.deepEqual(left(), []);
      assert.doesNotMatch(stack.log, /uncaught|unhandled/);
    });
  });
}
