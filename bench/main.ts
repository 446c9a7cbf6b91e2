// `npm run bench`: every promised number beside the original, in one run. Text on stdout; --json FILE writes the
// figures as JSON; other arguments choose parts by name (runtime, crowd, starts, shims, forward, engine, output,
// latency).

import { writeFileSync } from "node:fs";
import { type Figure, format } from "./harness.ts";

const args = process.argv.slice(2);
const jsonAt = args.indexOf("--json");
const json = jsonAt < 0 ? null : (args.splice(jsonAt, 2)[1] ?? null);

const PARTS: Readonly<Record<string, () => Promise<{ run: () => AsyncGenerator<Figure> | Generator<Figure> }>>> = {
  runtime: () => import("./runtime.ts"),
  crowd: async () => ({ run: (await import("./runtime.ts")).runCrowded }),
  starts: () => import("./starts.ts"),
  shims: () => import("./shims.ts"),
  forward: () => import("./forward.ts"),
  engine: () => import("./engine.ts"),
  output: () => import("./output.ts"),
  latency: async () => ({ run: (await import("./output.ts")).runLatency }),
};

const figures: Figure[] = [];
for (const [name, load] of Object.entries(PARTS)) {
  if (args.length > 0 && !args.includes(name)) continue;
  process.stdout.write(`\n${name}\n`);
  for await (const result of (await load()).run()) {
    figures.push(result);
    process.stdout.write(`  ${format(result)}\n`);
  }
}
if (json !== null) writeFileSync(json, `${JSON.stringify(figures, null, 2)}\n`);
