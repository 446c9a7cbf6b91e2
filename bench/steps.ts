// A second ruler beside harness.ts: for commands that only make sense one after the other (create, start, … delete).
// Each round a shell runs all steps of one side and says for each how long it took and what processor time the command
// and the children it waited for used. bash, because it tells both by itself: no process of its own stands between.

import { spawnSync } from "node:child_process";
import { type Figure, figure, median } from "./harness.ts";

const SHELL = "/bin/bash";

export interface Step {
  /** Null for what only stands between measured steps. */
  name: string | null;
  command: string;
}

export interface Course {
  label: string;
  cwd: string;
  steps: readonly Step[];
  /** Run after a round that failed, so that nothing of it is left. */
  tidy: string;
}

export interface Rounds {
  rounds: number;
  /** Seconds of idleness before each measured step. */
  idle: number;
}

interface Sample {
  /** Milliseconds. */
  wall: number;
  cpu: number;
}

/** For each step the wall times and the processor times; a side that fails is left out and named. The first side is
 *  ours, and must not fail. */
export function* compareSteps(title: string, courses: readonly Course[], rounds: Rounds): Generator<Figure> {
  const failed: string[] = [];
  const running = courses.filter((course, index) => {
    const works = round(course, 0) !== null;
    if (!works && index === 0) throw new Error(`${title}: ${course.label} fails`);
    if (!works) failed.push(course.label);
    return works;
  });
  const samples = new Map(running.map((course) => [course, [] as Map<string, Sample>[]]));
  for (let at = 0; at < rounds.rounds; at++) {
    for (const [course, taken] of samples) {
      const one = round(course, rounds.idle);
      if (one === null) throw new Error(`${title}: ${course.label} failed in round ${at + 1}`);
      taken.push(one);
    }
  }
  const note = failed.length === 0 ? null : `fails: ${failed.join(", ")}`;
  for (const { name } of courses[0]!.steps) {
    if (name === null) continue;
    const values = (pick: keyof Sample, middle: (list: readonly number[]) => number) =>
      Object.fromEntries(
        [...samples].map(([{ label }, taken]) => [label, middle(taken.map((one) => one.get(name)![pick]))]),
      );
    yield figure(`${title}: ${name}`, "ms", values("wall", median), note);
    // The shell knows milliseconds; many of them together know more.
    yield figure(`${title}: ${name}, processor time`, "ms", values("cpu", mean));
  }
}

/** Null when a step failed; what is left is tidied away then. */
function round(course: Course, idle: number): Map<string, Sample> | null {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const result = spawnSync(SHELL, ["-c", scriptOf(course, idle)], {
    ...{ cwd: course.cwd, env: { ...env, LC_ALL: "C" }, encoding: "utf8" },
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  if (result.status === 0) return samplesOf(result.output[3]!);
  spawnSync(SHELL, ["-c", course.tidy], { stdio: "ignore" });
  return null;
}

function scriptOf({ steps }: Course, idle: number): string {
  const parts = steps.map(({ name, command }) => {
    // Descriptor 3 is the shell's own.
    const body = `${command} </dev/null >/dev/null 3>&-`;
    if (name === null) return `${body} || exit 9`;
    const wait = idle > 0 ? `sleep ${idle} 3>&-; ` : "";
    return `${wait}times >&3; t=$EPOCHREALTIME; ${body} || exit 9; echo "${name} $t $EPOCHREALTIME" >&3; times >&3`;
  });
  return parts.join("\n");
}

/** Per step: two lines of times before, one of the step, two lines after; the second of two is that of the children. */
function samplesOf(text: string): Map<string, Sample> {
  const lines = text.trimEnd().split("\n");
  const samples = new Map<string, Sample>();
  for (let at = 0; at + 4 < lines.length; at += 5) {
    const [, before, step, , after] = lines.slice(at, at + 5) as [string, string, string, string, string];
    const [name, begun, ended] = step.split(" ") as [string, string, string];
    const wall = (Number(ended) - Number(begun)) * 1000;
    samples.set(name, { wall, cpu: milliseconds(after) - milliseconds(before) });
  }
  return samples;
}

/** "0m0.012s 1m2.003s": user and system together. */
function milliseconds(times: string): number {
  return times.split(" ").reduce((sum, one) => {
    const [minutes, seconds] = one.slice(0, -1).split("m");
    return sum + Number(minutes) * 60_000 + Number(seconds) * 1000;
  }, 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
