// A container that writes all the time, and its shim killed under it at random moments, for the tests of adoption.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ShimLab } from "./shim-lab.ts";

/** Without end, in bursts of forty numbered lines on each stream. */
export const FOREVER = `n=0; while true; do
for i in 0 1 2 3 4 5 6 7 8 9; do for j in 0 1 2 3; do echo $n line; echo $n line >&2; n=$((n+1)); done; done
usleep 1000; done`;

/** For a container that is to live until the kills are over: what lies in the pipes of one that ends while no shim is
 *  there is lost where no daemon holds them. */
export const UNTIL_TOLD = "while [ ! -e /told ]; do usleep 1000; done";

export function tellEnd(lab: ShimLab): void {
  writeFileSync(join(lab.path, "rootfs/told"), "");
}

/** Each time another shim takes over, and the output goes on; then the container is ended. */
export async function killAgainAndAgain(lab: ShimLab, rounds: number, written: () => number): Promise<void> {
  const { pid } = await lab.task.state({ id: lab.id });
  for (let round = 0; round < rounds; round++) {
    await sleep(Math.random() * 60);
    await lab.killShim();
    const before = written();
    await lab.adopt();
    const state = await lab.task.state({ id: lab.id });
    assert.deepEqual([state.status, state.pid], [2, pid]);
    await lab.eventually("new lines", () => written() > before);
  }
  await lab.task.kill({ id: lab.id, signal: 9, all: true });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
}
