// `npm run storm -- --rounds N --seed S`: N rounds of the storm, with the figures at the end; the same seed makes the
// same choices. Ends with 1 when something was not as it should be; with --stop at the first such round, and everything
// is left there to be looked at. With --execs M it is M executed processes through one shim instead.

import { parseArgs } from "node:util";
import { execFigures } from "./execs.ts";
import { StormLab } from "./lab.ts";
import { Storm } from "./storm.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    stop: { type: "boolean", default: false },
    execs: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const say = (line: string) => void process.stdout.write(`${line}\n`);

if (values.execs !== undefined) {
  say(JSON.stringify(await execFigures(Number(values.execs))));
  process.exit(0);
}
await using lab = new StormLab();
await lab.up();
const storm = new Storm(lab, Number(values.seed), { say, hold: values.stop });
const began = performance.now();
say(`descriptors at the start: ${JSON.stringify(lab.descriptors())}`);
for (let number = 1; number <= rounds; number++) {
  await storm.round(number);
  if (values.stop && storm.figures.defects.length > 0) {
    say(`stopped; all is left as it is in ${lab.path}`);
    process.exit(1);
  }
  if (number % 50 === 0) say(`${number} rounds, ${Math.round((performance.now() - began) / 1000)} s, ${summary()}`);
}
say(`seed ${values.seed}: ${summary()}; descriptors: ${JSON.stringify(lab.descriptors())}`);
process.exitCode = storm.figures.defects.length === 0 ? 0 : 1;

function summary(): string {
  const { defects, kills, ...counts } = storm.figures;
  return `${JSON.stringify(counts)} kills ${JSON.stringify(kills)}, ${defects.length} defects`;
}
