// The record of a container that is being made, for `create` and for `restore`: what state.json keeps of its plan.
// The shape is state.ts's.

import { formatTime, wallNanoseconds } from "../linux/clock.ts";
import { processLife } from "../linux/pidfd.ts";
import type { Cgroups } from "./cgroups/manager.ts";
import type { Plan } from "./plan.ts";
import { keepHooks } from "./record.ts";
import type { KeptResctrl } from "./resctrl.ts";
import { domainOf } from "./spec/check.ts";
import { type ContainerRecord, keptMappings, namespaceName, namespacePaths } from "./state.ts";

interface Made {
  pid: number;
  cgroups: Cgroups;
  resctrl: KeptResctrl | null;
}

export function recordOf(plan: Plan, { pid, cgroups, resctrl }: Made): ContainerRecord {
  const { linux, mappings, namespaces, rootless, spec, filter } = plan;
  const users = namespaces.has("user");
  return {
    id: plan.id,
    init_process_pid: pid,
    init_process_start: processLife(pid)?.start ?? 0,
    created: formatTime(wallNanoseconds()),
    config: {
      rootfs: plan.rootfs,
      namespaces: [...namespaces].map(([kind, path]) => ({ type: namespaceName(kind), path })),
      cgroups: keptCgroups(plan),
      rootless_euid: rootless.user,
      rootless_cgroups: rootless.cgroups,
      uid_mappings: users ? keptMappings(mappings.uidMappings) : null,
      gid_mappings: users ? keptMappings(mappings.gidMappings) : null,
      version: spec.ociVersion,
      no_new_keyring: plan.process.noNewKeyring,
      personality: linux.personality === null ? null : { domain: domainOf(linux.personality) },
      Hooks: keepHooks(spec.hooks),
      labels: [`bundle=${plan.bundle}`, ...Object.entries(spec.annotations).map(([key, value]) => `${key}=${value}`)],
      resctrl,
      memory_policy: plan.process.memoryPolicy,
      seccomp_flags: filter === null ? null : filter.flags,
      seccomp_listener: filter === null ? null : filter.listener,
    },
    rootless: rootless.user && rootless.cgroups,
    cgroup_paths: cgroups.paths,
    namespace_paths: namespacePaths(pid),
    external_descriptors: [],
    intel_rdt_path: plan.resctrl?.path ?? "",
  };
}

function keptCgroups({ id, linux, unit, rootless }: Plan): ContainerRecord["config"]["cgroups"] {
  const kept = { freezer: "", Systemd: unit !== null, Rootless: rootless.cgroups };
  if (unit === null) return { name: id, path: linux.cgroupsPath, ...kept };
  return { name: unit.base, parent: unit.parent, path: "", scope_prefix: unit.prefix, ...kept };
}
