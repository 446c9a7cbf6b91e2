// Pausing: the v1 freezer or cgroup.freeze of v2.

import { Failure } from "../../base/errors.ts";
import { readTextIfThere } from "../../linux/fd.ts";
import { pause } from "../../linux/process.ts";
import { type CgroupPaths, writeControl } from "./manager.ts";

/** v1 may need several attempts when processes are being born: it is thawed and frozen again. Waits of 1 ms. */
const FREEZE_ATTEMPTS = 2000;
const THAW_EACH = 50;

function place(paths: CgroupPaths): { file: string; frozen: string; thawed: string } | null {
  const v1 = paths["freezer"];
  if (v1 !== undefined) return { file: `${v1}/freezer.state`, frozen: "FROZEN", thawed: "THAWED" };
  const v2 = paths[""];
  return v2 === undefined ? null : { file: `${v2}/cgroup.freeze`, frozen: "1", thawed: "0" };
}

export function isFrozen(paths: CgroupPaths): boolean {
  const where = place(paths);
  if (where === null) return false;
  const state = readTextIfThere(where.file)?.trim();
  return state === where.frozen || state === "FREEZING";
}

export function freeze(paths: CgroupPaths): void {
  const where = place(paths);
  if (where === null)
    throw new Failure("failed_precondition", "cannot toggle freezer: cgroups not configured for container");
  for (let attempt = 0; attempt < FREEZE_ATTEMPTS; attempt++) {
    if (attempt % THAW_EACH === 0 && attempt > 0) writeControl(where.file, where.thawed);
    writeControl(where.file, where.frozen);
    const state = readTextIfThere(where.file)?.trim();
    if (state === where.frozen) return;
    pause(1);
  }
  writeControl(where.file, where.thawed);
  throw new Failure("deadline_exceeded", "unable to freeze");
}

export function thawIfFrozen(paths: CgroupPaths): void {
  if (isFrozen(paths)) thaw(paths);
}

export function thaw(paths: CgroupPaths): void {
  const where = place(paths);
  if (where !== null) writeControl(where.file, where.thawed);
}
