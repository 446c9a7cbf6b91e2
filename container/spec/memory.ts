// linux.memoryPolicy of config.json: from words to what set_mempolicy takes.

import { Failure, messageOf } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";
import { lookUp } from "../../base/lookup.ts";
import { parseRanges } from "./ranges.ts";
import type { LinuxSpec } from "./schema.ts";

// include/uapi/linux/mempolicy.h
const MODES: Readonly<Record<string, number>> = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
};
const FLAGS: Readonly<Record<string, number>> = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 1 << 15,
};
export const MEMORY_MODES = Object.keys(MODES);
export const MEMORY_FLAGS = Object.keys(FLAGS);

export interface MemoryPolicy {
  mode: number;
  flags: number;
  nodes: number[];
}

function refuse(message: string): never {
  throw new Failure("invalid_argument", message);
}

export function planMemoryPolicy(spec: LinuxSpec["memoryPolicy"]): MemoryPolicy | null {
  if (spec === null) return null;
  const mode = lookUp(MODES, spec.mode);
  if (mode === undefined) return refuse(`invalid memory policy mode ${quote(spec.mode)}`);
  let nodes: number[];
  try {
    nodes = parseRanges(spec.nodes);
  } catch (thrown) {
    return refuse(`invalid memory policy nodes ${quote(spec.nodes)}: ${messageOf(thrown)}`);
  }
  let flags = 0;
  for (const word of spec.flags) {
    const flag = lookUp(FLAGS, word);
    if (flag === undefined) return refuse(`invalid memory policy flag ${quote(word)}`);
    flags |= flag;
  }
  if ((spec.mode === "MPOL_DEFAULT" || spec.mode === "MPOL_LOCAL") && nodes.length > 0) {
    refuse(`memory policy mode requires 0 nodes but got ${nodes.length}`);
  }
  // MPOL_PREFERRED without nodes means the local one.
  const needsNodes = !["MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"].includes(spec.mode);
  if (needsNodes && nodes.length === 0) refuse("memory policy mode requires at least one node but got 0");
  return { mode, flags, nodes };
}
