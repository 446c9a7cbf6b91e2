// Many executed processes through one shim, one after the other, each with its output: what it takes of the shim.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ShimLab } from "../../path/shim-lab.ts";

const SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/** Before these the shim's heap is not yet what it stays. */
const WARM_UP = 50;
/** Milliseconds after which an idle shim has given back what it does not need. */
const REST = 2000;

export interface ExecFigures {
  execs: number;
  descriptors: [before: number, after: number];
  /** Kilobytes of private memory (smaps_rollup). */
  memory: [before: number, after: number];
  children: number;
  failed: number;
}

export async function execFigures(execs: number): Promise<ExecFigures> {
  await using lab = await ShimLab.start(["/bin/sleep", "100000"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  let failed = 0;
  const run = async (execId: string) => {
    const spec = { args: ["/bin/echo", execId], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
    const value = new Uint8Array(Buffer.from(JSON.stringify(spec)));
    const stdout = `file://${join(lab.folder, "out")}`;
    await lab.task.exec({ id: lab.id, execId, stdout, spec: { typeUrl: SPEC, value } });
    await lab.task.start({ id: lab.id, execId });
    if ((await lab.task.wait({ id: lab.id, execId })).exitStatus !== 0) failed++;
    await lab.task.delete({ id: lab.id, execId });
  };
  for (let at = 0; at < WARM_UP; at++) await run(`warm-${at}`);
  await sleep(REST);
  const before = { descriptors: lab.descriptors().length, memory: privateMemory(lab.shimPid) };
  for (let at = 0; at < execs; at++) await run(`exec-${at}`);
  await sleep(REST);
  const lines = readFileSync(join(lab.folder, "out"), "utf8").split("\n").length - 1;
  if (lines !== WARM_UP + execs) failed += WARM_UP + execs - lines;
  return {
    execs,
    descriptors: [before.descriptors, lab.descriptors().length],
    memory: [before.memory, privateMemory(lab.shimPid)],
    children: lab.children().length,
    failed,
  };
}

function privateMemory(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return kilobytes("Private_Dirty") + kilobytes("Private_Clean");
}
