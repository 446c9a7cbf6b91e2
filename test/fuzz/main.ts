// `npm run fuzz -- --cases N --seed S [--kernel M]`: N cases of mutated config.json, process.json, state.json,
// resources and messages, of which M (one in twenty unless said) as whole programs on the real kernel. Prints the
// figures; the same seed gives the same cases.

import { parseArgs } from "node:util";
import { type Figures, fuzzInside, fuzzKernel } from "./driver.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    kernel: { type: "string" },
  },
});
const cases = Number(values.cases);
const seed = Number(values.seed);
const kernel = values.kernel === undefined ? Math.ceil(cases / 20) : Number(values.kernel);
const clean = [
  await report("inside QuickJS", () => fuzzInside({ seed, cases: cases - kernel })),
  await report("on the kernel", () => fuzzKernel({ seed, cases: kernel })),
];
process.exit(clean.every(Boolean) ? 0 : 1);

async function report(where: string, run: () => Promise<Figures>): Promise<boolean> {
  const began = performance.now();
  const { defects, slowest, ...counts } = await run();
  const seconds = Math.round((performance.now() - began) / 1000);
  const ends = `${counts.succeeded} went through, ${counts.refused} refused`;
  const line = `${where}: ${counts.cases} cases (seed ${seed}), ${ends}`;
  process.stdout.write(`${line}, slowest ${Math.round(slowest)} ms, ${seconds} s in all, ${defects.length} defects\n`);
  for (const defect of defects) process.stdout.write(`  ${defect}\n`);
  return defects.length === 0;
}
