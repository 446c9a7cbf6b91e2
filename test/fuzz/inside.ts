// The fuzz inside QuickJS: mutated files and messages go through the very functions that runc calls, by the real door,
// up to where something would be made. A case ends in a result or in a Failure with a sentence; all else is a defect.
//
//     fuzz-inside <directory> <seed> <first case> <cases>     one line per thousand cases, then the figures as JSON

import { Failure, messageOf } from "../../base/errors.ts";
import { formatJson } from "../../base/json.ts";
import { devicePolicy, deviceWrites } from "../../container/cgroups/devices.ts";
import { placeCgroups } from "../../container/cgroups/manager.ts";
import { pathsOf } from "../../container/layout.ts";
import { awaitGo, hear, MSG_DONTWAIT, openDialogue } from "../../container/messages.ts";
import { parseConfig, planContainer, planProcess } from "../../container/plan.ts";
import { keptHooks, salvage } from "../../container/record.ts";
import { checkProcess } from "../../container/spec/check.ts";
import { readProcess, readResources } from "../../container/spec/schema.ts";
import { loadContainer, stateOf } from "../../container/state.ts";
import { monotonicMilliseconds } from "../../linux/clock.ts";
import { type Door, door } from "../../linux/door.ts";
import { makeDirectories, readText, writeAll, writeFile } from "../../linux/fd.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";
import { fullConfig, fullProcess, fullResources, MESSAGES, records } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

/** Milliseconds of one case beyond which it counts as a defect: a hundred times the usual. */
const SLOW = 4000;
/** And for each byte of the file: megabytes may take their time. */
const SLOW_BYTE = 0.004;
const REPORT_EACH = 1000;
const DEFECTS_SHOWN = 40;

interface Figures {
  cases: number;
  succeeded: number;
  refused: number;
  slowest: number;
  defects: string[];
}

interface Place {
  directory: string;
  root: string;
  /** What cases start from, by kind. */
  corpus: Readonly<Record<Kind, readonly string[]>>;
}

type Kind = "config" | "process" | "resources" | "state" | "messages";
/** How often each is taken, of ten. */
const KINDS: readonly Kind[] = [
  ...(["config", "config", "config", "config"] as const),
  ...(["process", "resources", "state", "state", "messages", "messages"] as const),
];

export function main(given: Door): number {
  openDoor(given);
  const [, directory, seed, first, cases] = given.args as [string, string, string, string, string];
  const place = prepare(directory);
  const figures: Figures = { cases: 0, succeeded: 0, refused: 0, slowest: 0, defects: [] };
  for (let number = Number(first); number < Number(first) + Number(cases); number++) {
    const random = new Random(Number(seed) * 1_000_003 + number);
    const kind = random.pick(KINDS);
    runCase(place, { number, kind, random }, figures);
    if (figures.cases % REPORT_EACH === 0) writeAll(1, door().encode(`${number}\n`));
  }
  writeAll(1, door().encode(`${JSON.stringify(figures)}\n`));
  return figures.defects.length === 0 ? 0 : 1;
}

function prepare(directory: string): Place {
  const root = `${directory}/rootfs`;
  makeDirectories(root, 0o755);
  makeDirectories(`${directory}/state/fuzz`, 0o700);
  const text = (value: unknown) => JSON.stringify(value);
  return {
    directory,
    root,
    corpus: {
      config: [text(fullConfig("rootfs", "/fuzz"))],
      process: [text(fullProcess())],
      resources: [text(fullResources())],
      state: records("fuzz", root).map(text),
      messages: MESSAGES.map(text),
    },
  };
}

interface Case {
  number: number;
  kind: Kind;
  random: Random;
}

function runCase(place: Place, { number, kind, random }: Case, figures: Figures): void {
  const { bytes, steps } = mutate(random.pick(place.corpus[kind]), random, (text) => door().encode(text));
  const began = monotonicMilliseconds();
  const defect = (what: string) => {
    if (figures.defects.length < DEFECTS_SHOWN)
      figures.defects.push(`case ${number}, ${kind} (${steps.join(", ")}): ${what}`);
  };
  figures.cases++;
  try {
    BODIES[kind](place, bytes, random);
    figures.succeeded++;
  } catch (thrown) {
    figures.refused++;
    const said = messageOf(thrown);
    // The door's own refusal is a sentence, too.
    if (!(thrown instanceof Failure) && !said.includes("contains a NUL byte"))
      defect(`${said}\n${thrown instanceof Error ? (thrown.stack ?? "") : ""}`);
    else if (said.length < 8 || said.includes("undefined")) defect(`no sentence: ${said}`);
  }
  const took = monotonicMilliseconds() - began;
  figures.slowest = Math.max(figures.slowest, took);
  if (took > SLOW + bytes.length * SLOW_BYTE) defect(`took ${took} ms`);
}

const BODIES: Readonly<Record<Kind, (place: Place, bytes: Uint8Array, random: Random) => void>> = {
  config({ directory }, bytes) {
    writeFile(`${directory}/config.json`, bytes);
    const plan = planContainer({
      id: "fuzz",
      bundle: directory,
      paths: pathsOf(`${directory}/state`, "fuzz"),
      rootless: { user: false, cgroups: false, searchPath: "" },
      systemd: false,
      noPivot: false,
      readiness: false,
      noNewKeyring: false,
      extraDescriptors: 0,
      extraEnvironment: [],
    });
    deviceWrites(devicePolicy(plan.linux.resources?.devices ?? []));
    placeCgroups(plan.linux.cgroupsPath, plan.id);
    formatJson(plan.spec);
  },
  process({ directory }, bytes) {
    writeFile(`${directory}/process.json`, bytes);
    const spec = checkProcess(
      readProcess(parseConfig(readText(`${directory}/process.json`), "process.json"), "process"),
    );
    planProcess(spec, {
      ...{ filter: null, limitsByParent: false, keepsGroups: false, memoryPolicy: null, noNewKeyring: false },
      ...{ extraDescriptors: 0, extraEnvironment: [], warnings: [] },
    });
  },
  resources(_place, bytes) {
    const resources = readResources(parseConfig(door().decode(bytes), "resources"), "resources");
    deviceWrites(devicePolicy(resources.devices));
  },
  state({ directory }, bytes) {
    writeFile(`${directory}/state/fuzz/state.json`, bytes);
    salvage(door().decode(bytes));
    const container = loadContainer(`${directory}/state`, "fuzz");
    JSON.stringify(stateOf(container));
    keptHooks(container.record, "poststart");
    keptHooks(container.record, "poststop");
  },
  messages(_place, bytes, random) {
    const dialogue = openDialogue();
    using parent = dialogue.parent;
    using child = dialogue.child;
    const [from, to] = random.oneIn(2) ? [parent, child] : [child, parent];
    // Longer ones the socket itself would refuse.
    writeAll(from.number, bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(0, 100_000));
    if (random.oneIn(2)) from.close();
    if (to === child) awaitGo(to.number);
    else hear(to.number);
    hear(to.number, MSG_DONTWAIT);
  },
};
