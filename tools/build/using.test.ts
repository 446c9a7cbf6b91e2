// The mended lowering of `using`, run as plain JavaScript.

import assert from "node:assert/strict";
import { test } from "node:test";
import { transformSync } from "esbuild";
import { mendUsing } from "./using.ts";

type Run = (open: (round: number) => Disposable) => unknown;

function lowered(source: string): Run {
  const { code } = transformSync(source, { loader: "ts", target: "es2023", minifySyntax: true });
  return new Function(`${mendUsing(code)}; return run;`)() as Run;
}

test("a round of a loop that failed does not spoil the next one", () => {
  const run = lowered(`function run(open) {
    for (let round = 0; ; round++) {
      try { using a = open(round); using b = open(round); return round; }
      catch (thrown) { if (round > 4) throw thrown; }
    }
  }`);
  let disposed = 0;
  const open = (round: number) => {
    if (round < 2) throw new Error(`round ${round}`);
    return { [Symbol.dispose]: () => void disposed++ };
  };
  assert.equal(run(open), 2);
  assert.equal(disposed, 2);
});

test("a failure of the round itself is thrown, after what it opened was disposed of", () => {
  const run = lowered("function run(open) { for (;;) { using a = open(0); throw new Error('inside'); } }");
  let disposed = 0;
  assert.throws(() => run(() => ({ [Symbol.dispose]: () => void disposed++ })), /inside/);
  assert.equal(disposed, 1);
});

test("what fails while disposing is thrown together with the failure it came upon", () => {
  const run = lowered("function run(open) { using a = open(0); using b = open(1); throw new Error('inside'); }");
  const order: number[] = [];
  const open = (at: number) => ({
    [Symbol.dispose]() {
      order.push(at);
      if (at === 1) throw new Error("disposing");
    },
  });
  assert.throws(
    () => run(open),
    (thrown: Error & { error?: Error; suppressed?: Error }) =>
      thrown.error?.message === "disposing" && thrown.suppressed?.message === "inside",
  );
  assert.deepEqual(order, [1, 0]);
});

test("null needs no disposal, and what has none is refused", () => {
  const run = lowered("function run(open) { using a = open(0); return 'done'; }");
  assert.equal(
    run(() => null as unknown as Disposable),
    "done",
  );
  assert.throws(() => run(() => ({}) as Disposable), TypeError);
});
