// New limits for a container that exists. The kernel keeps what is not named; the devices are left alone.

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { readAll, readText } from "../linux/fd.ts";
import { setLimits } from "./cgroups/limits.ts";
import type { Cgroups } from "./cgroups/manager.ts";
import { withRoundedQuota } from "./cgroups/systemd/properties.ts";
import { setUnitLimits } from "./cgroups/systemd/scope.ts";
import { failpoint } from "./failpoints.ts";
import { parseConfig } from "./plan.ts";
import { type Resources, readResources } from "./spec/schema.ts";
import { type Container, type ContainerRecord, statusOf, unitOfRecord } from "./state.ts";

export function cgroupsOfRecord({ cgroup_paths: paths }: ContainerRecord): Cgroups {
  const names = Object.keys(paths);
  return { paths, unified: names.length === 1 && names[0] === "" };
}

/** linux.resources from a file, or from standard input ("-"). */
export function resourcesFrom(file: string): Resources {
  const text = file === "-" ? door().decode(readAll(0)) : readText(file);
  return readResources(parseConfig(text, file === "-" ? "standard input" : file), "resources");
}

export function updateContainer(container: Container, resources: Resources): void {
  if (statusOf(container) === "stopped") throw new Failure("failed_precondition", "container not running");
  const { record } = container;
  const cgroups = cgroupsOfRecord(record);
  const unit = unitOfRecord(record);
  failpoint("update.begun");
  if (unit !== null) setUnitLimits(unit, resources, cgroups.unified);
  setLimits(cgroups, unit === null ? resources : withRoundedQuota(resources));
  failpoint("update.done");
}
