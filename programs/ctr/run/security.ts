// What a container made by ctr may do: capabilities, seccomp, AppArmor, and --privileged, which opens everything this
// process itself may hand on.

import { readFileSync } from "node:fs";
import { Failure } from "../../../base/errors.ts";
import { capabilitiesOfMask } from "../../../core/spec/capabilities.ts";
import type { Spec } from "../../../core/spec/oci.ts";
import { defaultSeccomp, readSeccompProfile } from "../../../core/spec/seccomp.ts";
import { systemFailure } from "../cli/errors.ts";
import type { Invocation } from "../cli/invocation.ts";
import { addDevices } from "./devices.ts";

export function makePrivileged(spec: Spec, hostDevices: boolean): void {
  setCapabilities(spec, ownCapabilities());
  delete spec.linux.maskedPaths;
  delete spec.linux.readonlyPaths;
  for (const mount of spec.mounts) {
    if (mount.type !== "sysfs" && mount.type !== "cgroup") continue;
    mount.options = (mount.options ?? []).map((option) => (option === "ro" ? "rw" : option));
  }
  const resources = (spec.linux.resources ??= {});
  if (!hostDevices) return;
  resources.devices = [{ allow: true, access: "rwm" }];
  addDevices(spec, "/dev", { rules: false });
}

/** Of this process: what it does not have it cannot give. */
function ownCapabilities(): string[] {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return capabilitiesOfMask(mask);
}

function setCapabilities(spec: Spec, names: readonly string[]): void {
  spec.process.capabilities = { bounding: [...names], effective: [...names], permitted: [...names] };
}

export function changeCapabilities(spec: Spec, add: readonly string[], drop: readonly string[]): void {
  for (const name of [...add, ...drop]) {
    if (name.startsWith("CAP_")) continue;
    throw new Failure("invalid_argument", "capabilities must be specified with 'CAP_' prefix");
  }
  if (add.length === 0 && drop.length === 0) return;
  const before = spec.process.capabilities?.bounding ?? [];
  const added = [...before, ...add.filter((name) => !before.includes(name))];
  setCapabilities(
    spec,
    added.filter((name) => !drop.includes(name)),
  );
}

export function secure(spec: Spec, call: Invocation): void {
  const profile = call.string("seccomp-profile");
  if (profile !== "" && !call.bool("seccomp")) {
    throw new Failure("invalid_argument", "seccomp must be set to true, if using a custom seccomp-profile");
  }
  const bounding = spec.process.capabilities?.bounding ?? [];
  if (profile !== "") spec.linux.seccomp = readSeccompProfile(readProfile(profile), bounding);
  else if (call.bool("seccomp")) spec.linux.seccomp = defaultSeccomp(bounding);
  if (call.string("apparmor-profile") !== "") spec.process.apparmorProfile = call.string("apparmor-profile");
}

function readProfile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    const { message } = systemFailure("open", path, thrown);
    throw new Failure("invalid_argument", `cannot load seccomp profile "${path}": ${message}`);
  }
}
