// What a config.json must satisfy about user namespaces: mappings that are there and agree, what needs them, and what a
// runtime without root's rights cannot do. The original's wording. A container that shares the runtime's user namespace
// is done with at the first question.

import { Failure } from "../../base/errors.ts";
import { hostIdOf, type Mappings, mappingsOf, sameMapping } from "../mappings.ts";
import type { Rootless } from "../rootless.ts";
import type { NamespacePlan } from "./check.ts";
import type { MountPlan } from "./mounts.ts";
import type { LinuxSpec } from "./schema.ts";

function refuse(message: string): never {
  throw new Failure("invalid_argument", message);
}

/** The mappings that hold in the container: config.json's for a new user namespace, a joined one's own. */
export function planUsers(linux: LinuxSpec, namespaces: NamespacePlan, warn: (message: string) => void): Mappings {
  const { uidMappings, gidMappings } = linux;
  const path = namespaces.get("user");
  if (path === undefined) {
    if (uidMappings.length + gidMappings.length > 0) {
      refuse("user namespace mappings specified, but user namespace isn't enabled in the config");
    }
    return linux;
  }
  const mappings = path === "" ? linux : joined(linux, path, warn);
  if (mappings.uidMappings.length === 0) refuse("user namespaces enabled, but no uid mappings found");
  if (mappings.gidMappings.length === 0) refuse("user namespaces enabled, but no gid mappings found");
  if (hostIdOf(mappings.uidMappings, 0) === null) refuse("user namespaces enabled, but no mapping found for uid 0");
  if (hostIdOf(mappings.gidMappings, 0) === null) refuse("user namespaces enabled, but no mapping found for gid 0");
  return mappings;
}

function joined(linux: LinuxSpec, path: string, warn: (message: string) => void): Mappings {
  const found = mappingsOf(path);
  if (linux.uidMappings.length + linux.gidMappings.length === 0) return found;
  if (!sameMapping(found.uidMappings, linux.uidMappings) || !sameMapping(found.gidMappings, linux.gidMappings)) {
    refuse(
      "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only provide one",
    );
  }
  warn(
    "config.json has both a userns path to join and a matching userns mapping specified -- you may only provide one; " +
      "the mapping is not used",
  );
  return found;
}

/** Without root's rights the kernel gives a container only what its own user namespace governs. */
export function checkRootless(namespaces: NamespacePlan, mounts: readonly MountPlan[], mappings: Mappings): void {
  if (!namespaces.has("user")) refuse("rootless container requires user namespaces");
  for (const mount of mounts) {
    if (mount.idmap !== null) {
      refuse(`invalid mount ${mount.destination}: id-mapped mounts are not supported for rootless containers`);
    }
    for (const option of mount.options) {
      const [, kind, id] = /^([ug]id)=(\d+)$/.exec(option) ?? [];
      if (kind === undefined) continue;
      const maps = kind === "uid" ? mappings.uidMappings : mappings.gidMappings;
      if (hostIdOf(maps, Number(id)) !== null) continue;
      const why = `user namespaces enabled, but no mapping found for ${kind} ${id}`;
      refuse(`cannot specify ${option} mount option for rootless container: ${why}`);
    }
  }
}

/** The machine's interfaces are moved by the machine's root alone. */
export function checkInterfaces({ user, cgroups }: Rootless, { netDevices }: LinuxSpec): void {
  if ((user || cgroups) && Object.keys(netDevices).length > 0) {
    refuse("network devices are not supported for rootless containers");
  }
}

/** A user without rights may have no more groups than it has already. */
export function checkGroups(byUser: boolean, additionalGids: readonly number[]): void {
  if (byUser && additionalGids.length > 0) refuse("cannot set any additional groups in a rootless container");
}

/** Id-mapped mounts without mappings of their own take the container's. */
export function planIdmaps(mounts: readonly MountPlan[], namespaces: NamespacePlan, mappings: Mappings): void {
  for (const { idmap, destination } of mounts) {
    if (idmap === null) continue;
    if (idmap.uids.length + idmap.gids.length === 0 && namespaces.has("user")) {
      idmap.uids = [...mappings.uidMappings];
      idmap.gids = [...mappings.gidMappings];
    }
    if (idmap.uids.length === 0 || idmap.gids.length === 0) {
      refuse(`invalid mount ${destination}: id-mapped mounts must have both uid and gid mappings specified`);
    }
  }
}
