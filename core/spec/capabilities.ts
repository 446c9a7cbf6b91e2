// Capability names: the kernel's list, the fourteen a container gets by default, and how --cap-add, --cap-drop and
// --privileged change them. Called by dockerd for containers and execs, and by ctr.

import { Failure } from "../../base/errors.ts";
import { CAPABILITY_NAMES } from "../../linux/capability-names.ts";
import type { Capabilities } from "./oci.ts";

export const DEFAULT_CAPABILITIES: readonly string[] = (
  "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL " +
  "AUDIT_WRITE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

export interface CapabilityRequest {
  add: readonly string[];
  drop: readonly string[];
  privileged: boolean;
  /** What the daemon itself may hand on (its bounding set); null when unknown, which stands for all. */
  available: readonly string[] | null;
}

/** The bounding set of a container. A name nobody knows is invalid_argument, with Docker's words. */
export function resolveCapabilities(request: CapabilityRequest): string[] {
  const may = (name: string) => request.available === null || request.available.includes(name);
  const all = CAPABILITY_NAMES.filter(may);
  if (request.privileged) return all;
  const add = request.add.map((name) => normalise(name));
  const drop = request.drop.map((name) => normalise(name));
  // ALL on one side means: everything there, less what the other side names.
  if (add.includes("ALL")) return all.filter((name) => !drop.includes(name));
  const added = add.filter((name) => !drop.includes(name));
  if (drop.includes("ALL")) return add.filter(unique);
  const kept = DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name) && may(name));
  return [...kept, ...added].filter(unique);
}

/** The sets of the process: whoever is not root starts with none in force, as execve would leave them. */
export function processCapabilities(bounding: readonly string[], uid: number): Capabilities {
  if (uid !== 0) return { bounding: [...bounding] };
  return { bounding: [...bounding], effective: [...bounding], permitted: [...bounding] };
}

/** The names whose bits are set, from the hexadecimal mask of /proc/self/status. */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return CAPABILITY_NAMES.filter((_name, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

function normalise(text: string): string {
  const upper = text.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!CAPABILITY_NAMES.includes(name)) {
    throw new Failure("invalid_argument", `invalid CapAdd: unknown capability: "${name}"`);
  }
  return name;
}

function unique(name: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(name) === index;
}
