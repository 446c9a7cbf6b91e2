// What another shim must know to take a sandbox over when this one is killed: one file in the sandbox's bundle, from
// its creation to its shutdown.
//
//     created   no pid           starting   a pid, not yet a time of creation: such a start is undone
//     ready     pid and time     over       ended
//
// One of another boot is read, too: its namespaces went with that boot, and so the sandbox is over.

import { SANDBOX_RECORD } from "../../api/task/extensions.ts";
import { readTextIfThere, unlinkIfThere } from "../../linux/fd.ts";
import { NAMESPACES, type NamespaceKind } from "../../linux/namespace.ts";
import { RECORD_LIMIT } from "./limits.ts";
import type { Log } from "./log.ts";
import type { Ended } from "./reaper.ts";
import { bootId, endedOf, type Fields, keepRecord, parseRecord, strictly, writeRecord } from "./record-file.ts";
import type { Plan } from "./sandbox-holder.ts";

/** The process that holds its namespaces; the pid means this process only with the start time. */
export interface HolderFacts {
  pid: number;
  /** As /proc tells it; "" without a process. */
  startTime: string;
}

export interface SandboxRecord extends HolderFacts {
  id: string;
  namespace: string;
  plan: Plan;
  /** Wall time in nanoseconds since 1970; 0 until it is ready. */
  createdAt: bigint;
  /** Somebody asked for its end: whatever ends the holder then is no failure. */
  asked: boolean;
  ended: Ended | null;
  /** The pid of the shim that wrote it. */
  shim: number;
}

function pathOf(bundle: string): string {
  return `${bundle}/${SANDBOX_RECORD}`;
}

/** Throws what the system says: without a record nobody would find the holder of a shim that was killed. */
export function writeSandbox(bundle: string, record: SandboxRecord): void {
  writeRecord(pathOf(bundle), plain(record));
}

/** A failure is only said. */
export function keepSandbox(log: Log, bundle: string, record: SandboxRecord): void {
  keepRecord(log, pathOf(bundle), plain(record));
}

/** There is nothing to take over any more. */
export function removeSandboxRecord(bundle: string): void {
  unlinkIfThere(pathOf(bundle));
  // A shim that was killed while it wrote one leaves the other.
  unlinkIfThere(`${pathOf(bundle)}.tmp`);
}

/** Null when there is none. Throws Failure "failed_precondition" when it cannot be used. */
export function readSandboxRecord(bundle: string): { record: SandboxRecord; thisBoot: boolean } | null {
  const text = readTextIfThere(pathOf(bundle), RECORD_LIMIT);
  if (text === null) return null;
  return strictly(SANDBOX_RECORD, () => {
    const whole = parseRecord(text);
    const record = {
      id: whole.text("id"),
      namespace: whole.text("namespace"),
      plan: planOf(whole.part("plan")),
      pid: whole.number("pid"),
      startTime: whole.text("startTime"),
      createdAt: whole.integer("createdAt"),
      asked: whole.truth("asked"),
      ended: endedOf(whole),
      shim: whole.number("shim"),
    };
    return { record, thisBoot: whole.text("boot") === bootId() };
  });
}

/** For whoever removes what was left: the holder, also from a record of another version or with damage elsewhere. */
export function holderIn(bundle: string): HolderFacts | null {
  const text = readTextIfThere(pathOf(bundle), RECORD_LIMIT);
  if (text === null) return null;
  try {
    const { boot, pid, startTime } = JSON.parse(text) as Record<string, unknown>;
    if (boot !== bootId() || typeof pid !== "number" || typeof startTime !== "string" || startTime === "") return null;
    return { pid, startTime };
  } catch {
    return null;
  }
}

function plain(record: SandboxRecord): object {
  const { hostname, namespaces } = record.plan;
  return { ...record, plan: { hostname, namespaces: [...namespaces] } };
}

function planOf(plan: Fields): Plan {
  const namespaces = new Map<NamespaceKind, string>();
  for (const [kind, path] of plan.pairs("namespaces")) {
    if (!Object.hasOwn(NAMESPACES, kind)) throw new TypeError(`${kind} is no namespace`);
    namespaces.set(kind as NamespaceKind, path);
  }
  return { hostname: plan.text("hostname"), namespaces };
}
