// The bench's ruler: runs commands by turns, ours and the originals', and gives medians and ratios.
//
// Commands are started by a static shell in batches, because a fork from Node itself costs more than many of the
// programs measured; the shell's own share is measured as `true` and taken off. Turns alternate within one run, so that
// a machine that slows down slows down all sides.

import { spawnSync } from "node:child_process";
import { hrtime } from "node:process";

const SHELL = "/bin/busybox";

export interface Side {
  label: string;
  /** A shell command line; its output is thrown away. */
  command: string;
  env?: Record<string, string>;
  cwd?: string;
}

export interface Figure {
  name: string;
  unit: string;
  values: Record<string, number>;
  /** Ours divided by each other side. */
  ratios: Record<string, number>;
  note: string | null;
}

export interface Turns {
  /** Rounds, in each of which every side runs one batch. */
  rounds: number;
  /** Runs of the command in one batch. */
  batch: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds of one run of a side, from one batch. Throws when a run fails. */
function measure(side: Side, batch: number): number {
  const body = `${side.command} >/dev/null </dev/null || exit 9`;
  const loop = `i=0; while [ $i -lt ${batch} ]; do ${body}; i=$((i+1)); done`;
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const before = hrtime.bigint();
  const result = spawnSync(SHELL, ["sh", "-c", loop], { cwd: side.cwd, env: { ...env, ...side.env } });
  const took = Number(hrtime.bigint() - before) / 1e6;
  if (result.status !== 0) throw new Error(`${side.label}: \`${side.command}\` failed: ${result.stderr}`);
  return took / batch;
}

/** The first side is ours. */
export function compare(name: string, sides: readonly Side[], turns: Turns): Figure {
  const floor: Side = { label: "floor", command: "/bin/true" };
  const samples = new Map<Side, number[]>([...sides, floor].map((side) => [side, []]));
  for (const side of sides) measure(side, 1);
  for (let round = 0; round < turns.rounds; round++) {
    for (const [side, taken] of samples) taken.push(measure(side, turns.batch));
  }
  // What the loop costs around a command, about a fork: kept in, since both sides pay it, but said.
  const cost = median(samples.get(floor)!);
  const values = Object.fromEntries(sides.map((side) => [side.label, median(samples.get(side)!)]));
  return figure(name, "ms", values, `fork and exec of /bin/true alone: ${cost.toFixed(2)} ms`);
}

/** A figure whose first value is ours. */
export function figure(name: string, unit: string, values: Record<string, number>, note: string | null = null): Figure {
  const [ours, ...others] = Object.entries(values);
  const ratios = Object.fromEntries(others.map(([label, value]) => [label, ours![1] / value]));
  return { name, unit, values, ratios, note };
}

export function format(result: Figure): string {
  const values = Object.entries(result.values).map(([label, value]) => `${label} ${round(value)} ${result.unit}`);
  const ratios = Object.entries(result.ratios).map(([label, ratio]) => `${ratio.toFixed(2)} of ${label}`);
  const tail = ratios.length === 0 ? "" : `  (${ratios.join(", ")})`;
  return `${result.name.padEnd(44)} ${values.join(", ")}${tail}${result.note === null ? "" : `  [${result.note}]`}`;
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
