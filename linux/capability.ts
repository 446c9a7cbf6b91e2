// Capabilities: their names and the five sets of a process. Sets are 64 bits, so bigint.

import { CAPABILITY_NAMES } from "./capability-names.ts";
import { door } from "./door.ts";
import { EINVAL, must } from "./errno.ts";
import * as nr from "./numbers.ts";

export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;

const VERSION_3 = 0x20080522;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

export interface CapabilitySets {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

/** Drops every capability that is not in `keep` from the bounding set, also those newer than our table. */
export function limitBoundingSet(keep: bigint): void {
  const halves = [Number(BigInt.asIntN(32, keep)), Number(BigInt.asIntN(32, keep >> 32n))] as const;
  for (let number = 0; number < 64; number++) {
    if ((halves[number < 32 ? 0 : 1] >> (number & 31)) & 1) continue;
    const result = door().syscall(nr.SYS_prctl, PR_CAPBSET_DROP, number, 0, 0, 0);
    if (result === -EINVAL) return;
    must("prctl", `PR_CAPBSET_DROP ${CAPABILITY_NAMES[number] ?? number}`, result);
  }
}

export function setCapabilities(sets: CapabilitySets): void {
  const header = Int32Array.of(VERSION_3, 0);
  const low = (set: bigint) => Number(BigInt.asIntN(32, set));
  const high = (set: bigint) => Number(BigInt.asIntN(32, set >> 32n));
  const { effective, permitted, inheritable } = sets;
  const data = Int32Array.of(
    ...[low(effective), low(permitted), low(inheritable)],
    ...[high(effective), high(permitted), high(inheritable)],
  );
  must("capset", "", door().syscall(nr.SYS_capset, header, data));
}

export function clearAmbient(): void {
  must("prctl", "PR_CAP_AMBIENT", door().syscall(nr.SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
}

/** Raises each. Those that could not be (not permitted, or not inheritable) come back with the errno. */
export function raiseAmbient(set: bigint): { number: number; errno: number }[] {
  const refused: { number: number; errno: number }[] = [];
  if (set === 0n) return refused;
  for (let number = 0; number < 64; number++) {
    if (((set >> BigInt(number)) & 1n) === 0n) continue;
    const result = door().syscall(nr.SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
    if (result < 0) refused.push({ number, errno: -result });
  }
  return refused;
}

/** What this process may hold: its permitted set. */
export function permittedSet(): bigint {
  const data = new Int32Array(6);
  must("capget", "", door().syscall(nr.SYS_capget, Int32Array.of(VERSION_3, 0), data));
  return BigInt(data[1]! >>> 0) | (BigInt(data[4]! >>> 0) << 32n);
}
