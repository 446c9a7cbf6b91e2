// What docker prints, ours beside the original client, at one original engine: the same command lines have to give the
// same stdout, stderr and exit code, apart from ids and times. Each client tells the whole story, which cleans up after
// itself.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { STORIES } from "./docker-stories.ts";
import { ORIGINAL, OriginalEngine, type Outcome, run } from "./original-engine.ts";

const OURS = path.resolve(process.env["GANTRY_BIN"] ?? "dist/bin", "docker");
const NEEDED = [ORIGINAL, OURS, "/usr/sbin/dockerd", "/usr/bin/containerd", "/bin/busybox"];

const ENGINE = new OriginalEngine();
const MISSING = NEEDED.filter((file) => !existsSync(file));

describe("docker prints what the original prints", {
  skip: MISSING.length > 0 && `needs ${MISSING.join(", ")}`,
}, () => {
  before(() => ENGINE.start());
  after(() => ENGINE.stop());
  for (const [title, story] of Object.entries(STORIES)) describe(title, () => tellStory(story));
});

function tellStory(story: string): void {
  const lines = story
    .trim()
    .split("\n")
    .map((line) => line.trim());
  let originals: Outcome[] = [];
  before(async () => {
    originals = await runStory(ORIGINAL, lines);
    ours = await runStory(OURS, lines);
  });
  let ours: Outcome[] = [];
  lines.forEach((line, at) => {
    test(`docker ${line}`, () => assert.deepEqual(comparable(ours[at]!), comparable(originals[at]!)));
  });
}

async function runStory(program: string, lines: readonly string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const line of lines) {
    const [command, stdin] = line.split(" <<< ") as [string, string?];
    const args = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
    outcomes.push(await run(program, args, ENGINE.host, stdin ?? ""));
  }
  return outcomes;
}

function comparable(outcome: Outcome): Outcome {
  return { status: outcome.status, stdout: withoutChance(outcome.stdout), stderr: withoutChance(outcome.stderr) };
}

const AGO = /(Less than a second|About an? \w+|\d+ \w+)( ago)?/g;

function withoutChance(text: string): string {
  return text
    .replace(/[0-9a-f]{64}/g, "ID64")
    .replace(/\b[0-9a-f]{12}\b/g, "ID12")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(AGO, "AGO")
    .replace(/[\w-]+_[a-z]+\b(?=\n|$)/g, (name) => (/^[a-z]+_[a-z]+$/.test(name) ? "RANDOM_NAME" : name))
    .replace(/ {2,}/g, "  ");
}
