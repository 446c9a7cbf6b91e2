// Who a container's process is, looked up in its root. A root that was never started is the image's own, so the answer
// is remembered per image: the look-up needs no mounts then, and create can prepare them meanwhile.

import { resolveUser } from "../../../core/rootfs/users.ts";
import { type Root, rootOfMounts } from "../../../core/rootfs/walk.ts";
import type { User } from "../../../core/spec/oci.ts";
import type { Mount } from "../../../core/values.ts";
import type { ContainerRecord } from "./record.ts";

/** Answers that are kept. */
const MAX_KEPT = 1024;

const kept = new Map<string, User>();

function keyOf(record: ContainerRecord): string {
  return JSON.stringify([record.manifestDigest, record.config.User ?? "", record.hostConfig.GroupAdd ?? []]);
}

/** Null when the root has to be looked at. */
export function rememberedUser(record: ContainerRecord): User | null {
  return record.state.everStarted ? null : (kept.get(keyOf(record)) ?? null);
}

/** Throws invalid_argument for a user that is not there. */
export function lookUpUser(record: ContainerRecord, mounts: readonly Mount[]): User {
  const root: Root | null = rootOfMounts(mounts);
  const { user } = resolveUser(root, record.config.User ?? "", record.hostConfig.GroupAdd ?? []);
  if (!record.state.everStarted) {
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(keyOf(record), user);
  }
  return user;
}
