// Output to a client's FIFO, as other daemons ask for it, through our shim and the original's: time and the shim's own
// processor time for a container that writes pieces of one size, read by a client that is always ready.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { type Figure, figure, median } from "./harness.ts";
import { processorTime } from "./memory.ts";
import { Place, SIDES, type Side } from "./shims.ts";

const ROUNDS = 5;
/** Bytes of one write and how many there are. */
const PIECES = [
  { size: 100, count: 2_000_000 },
  { size: 4096, count: 262_144 },
  { size: 65_536, count: 16_384 },
];

export async function* run(): AsyncGenerator<Figure> {
  for (const piece of PIECES) {
    const samples = SIDES.map(({ label }) => ({ label, time: [] as number[], cpu: [] as number[] }));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, side] of SIDES.entries()) {
        const { time, cpu } = await forward(side, piece);
        samples[at]!.time.push(time);
        samples[at]!.cpu.push(cpu);
      }
    }
    const gib = (piece.size * piece.count) / 2 ** 30;
    const name = `to a client's FIFO in pieces of ${piece.size} bytes`;
    const values = (pick: (one: (typeof samples)[number]) => number[]) =>
      Object.fromEntries(samples.map((one) => [one.label, median(pick(one)) / gib]));
    yield figure(
      `${name}: time`,
      "s/GiB",
      values(({ time }) => time),
    );
    yield figure(
      `${name}: processor time of the shim`,
      "s/GiB",
      values(({ cpu }) => cpu),
    );
  }
}

/** Seconds. */
async function forward(side: Side, piece: { size: number; count: number }): Promise<{ time: number; cpu: number }> {
  await using place = new Place(side);
  const fifo = join(place.folder, "output");
  spawnSync("mkfifo", [fifo]);
  const held = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  const client = spawn("cat", [fifo], { stdio: ["ignore", "ignore", "inherit"] });
  const write = `/bin/busybox dd if=/dev/zero bs=${piece.size} count=${piece.count} 2>/dev/null`;
  const { shim, task, id } = await place.start(`while [ ! -e /go ]; do /bin/busybox usleep 2000; done; ${write}`, fifo);
  const before = { time: performance.now(), cpu: processorTime(shim) };
  place.touch("go");
  await task.wait({ id });
  const taken = { time: (performance.now() - before.time) / 1000, cpu: processorTime(shim) - before.cpu };
  closeSync(held);
  client.kill();
  return taken;
}
