// Devices of the host in a container: one, or a directory's, with the rules that allow their use.

import { lstatSync, readdirSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../base/errors.ts";
import type { Device, Spec } from "../../../core/spec/oci.ts";
import { systemFailure } from "../cli/errors.ts";

/** Made by the runtime itself in every container. */
const OWN_DIRECTORIES = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

export function addDevices(spec: Spec, path: string, options: { rules: boolean } = { rules: true }): void {
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch (thrown) {
    const { message } = systemFailure("stat", path, thrown);
    throw new Failure("not_found", `error stating device path: ${message}`);
  }
  const found = stats.isDirectory() ? devicesIn(path) : [deviceOf(path, stats)];
  for (const device of found) {
    if (device === null) throw new Failure("invalid_argument", "not a device node");
    (spec.linux.devices ??= []).push(device);
    if (!options.rules) continue;
    const { type, major, minor } = device;
    const rules = ((spec.linux.resources ??= {}).devices ??= []);
    rules.push({ allow: true, type, major, minor, access: "rwm" });
  }
}

function devicesIn(directory: string): Device[] {
  const devices: Device[] = [];
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined || name === "console") continue;
    if (stats.isDirectory()) {
      if (!OWN_DIRECTORIES.includes(name)) devices.push(...devicesIn(path));
      continue;
    }
    const device = deviceOf(path, stats);
    if (device !== null) devices.push(device);
  }
  return devices;
}

function deviceOf(path: string, stats: Stats): Device | null {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return null;
  // The kernel's encoding of a device number: minor in the low and high parts, major between.
  const major = Math.floor(stats.rdev / 2 ** 8) % 2 ** 12;
  const minor = (stats.rdev % 2 ** 8) + (Math.floor(stats.rdev / 2 ** 20) % 2 ** 12) * 2 ** 8;
  const type = stats.isBlockDevice() ? "b" : "c";
  return { path, type, major, minor, fileMode: stats.mode % 2 ** 9, uid: stats.uid, gid: stats.gid };
}
