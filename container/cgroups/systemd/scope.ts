// A container's unit at systemd: started with the container's first process in it, given limits, stopped. Called where
// the record or the plan says that systemd keeps the cgroups; without it none of this runs.
//
//     placeOf ─▶ clone ─▶ startUnit (moves the child) ─▶ … setUnitLimits … ─▶ stopUnit ─▶ rmdir of what is left

import { Failure, messageOf } from "../../../base/errors.ts";
import type { Resources } from "../../spec/schema.ts";
import { devicePolicy } from "../devices.ts";
import type { CgroupPaths } from "../manager.ts";
import { type Bus, BusError, openBus } from "./bus.ts";
import * as as from "./properties.ts";
import { type Property, placeUnit, sliceOf, type Unit } from "./unit.ts";

export function placeOf(unit: Unit): ReturnType<typeof placeUnit> {
  if (!unit.user) return placeUnit(unit, "");
  using bus = openBus(true);
  return placeUnit(unit, String(bus.property("ControlGroup")));
}

export interface UnitStart {
  pid: number;
  resources: Resources | null;
  unified: boolean;
}

/** When it returns, the process is in the unit's cgroups of the hierarchies that systemd keeps. */
export function startUnit(unit: Unit, { pid, resources, unified }: UnitStart): void {
  using bus = openBus(unit.user);
  const manager = managerOf(bus, unified);
  const slice = unit.name.endsWith(".slice");
  const properties: Property[] = [
    as.word("Description", `libcontainer container ${unit.base}`),
    ...(slice ? [as.words("Wants", [sliceOf(unit)])] : [as.word("Slice", sliceOf(unit)), as.flag("Delegate", true)]),
    as.pids([pid]),
    // A cgroup without accounting may lack its controller.
    ...["Memory", "CPU", unified ? "IO" : "BlockIO", "Tasks"].map((what) => as.flag(`${what}Accounting`, true)),
    as.flag("DefaultDependencies", false),
    ...unit.properties,
    ...as.deviceProperties(devicePolicy(resources?.devices ?? [])),
    ...(resources === null ? [] : as.resourceProperties(resources, manager)),
    ...oomPolicy(resources, manager),
  ];
  try {
    begin(bus, unit.name, properties);
  } catch (thrown) {
    const names = properties.map(([name]) => name).join(" ");
    const message = `unable to start unit "${unit.name}" (properties [${names}]): ${messageOf(thrown)}`;
    throw new Failure("failed_precondition", message, { cause: thrown });
  }
}

function begin(bus: Bus, name: string, properties: Property[]): void {
  const start = () => {
    const list = properties.map(([property, value]) => [property, value]);
    return bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", [name, "replace", list, []]);
  };
  let job: unknown;
  try {
    [job] = start();
  } catch (thrown) {
    if (!(thrown instanceof BusError) || !thrown.errorName.endsWith(".UnitExists")) throw thrown;
    // One that failed is kept under its name until somebody has looked.
    resetFailed(bus, name);
    [job] = start();
  }
  const result = bus.endOf(String(job));
  if (result === "done") return;
  resetFailed(bus, name);
  if (result === null) throw new Failure("deadline_exceeded", `Timeout waiting for systemd to create ${name}`);
  throw new Failure("failed_precondition", `error creating systemd unit \`${name}\`: got \`${result}\``);
}

/** Cannot be changed later. */
function oomPolicy(resources: Resources | null, manager: as.Manager): Property[] {
  const group = resources?.unified["memory.oom.group"]?.trim();
  if ((group !== "0" && group !== "1") || manager.version() < as.OOM_VERSION) return [];
  return [as.word("OOMPolicy", group === "0" ? "continue" : "kill")];
}

function managerOf(bus: Bus, unified: boolean): as.Manager {
  let known: number | null = null;
  const version = () => {
    known ??= Number.parseInt(String(bus.property("Version")).replace(/^v/, ""), 10) || 0;
    return known;
  };
  return { unified, version };
}

function resetFailed(bus: Bus, name: string): void {
  try {
    bus.call("ResetFailedUnit", "s", [name]);
  } catch (thrown) {
    if (!(thrown instanceof BusError)) throw thrown;
  }
}

/** Of a record: the unit's name is that of its directory. */
export interface KeptUnit {
  paths: CgroupPaths;
  user: boolean;
}

function nameOf({ paths }: KeptUnit): string {
  const path = paths[""] ?? paths["name=systemd"] ?? Object.values(paths)[0] ?? "";
  return path.slice(path.lastIndexOf("/") + 1);
}

/** New limits for a unit that runs. systemd forgets them with the unit. */
export function setUnitLimits(kept: KeptUnit, resources: Resources, unified: boolean): void {
  using bus = openBus(kept.user);
  const properties = as.resourceProperties(resources, managerOf(bus, unified));
  try {
    const list = properties.map(([name, value]) => [name, value]);
    bus.call("SetUnitProperties", "sba(sv)", [nameOf(kept), true, list]);
  } catch (thrown) {
    throw new Failure("failed_precondition", `unable to set unit properties: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** It may have ended by itself with its last process, or never have begun. */
export function stopUnit(kept: KeptUnit): void {
  const name = nameOf(kept);
  using bus = openBus(kept.user);
  let job: unknown;
  try {
    [job] = bus.call("StopUnit", "ss", [name, "replace"]);
  } catch (thrown) {
    if (!(thrown instanceof BusError)) throw thrown;
    resetFailed(bus, name);
    return;
  }
  const ended = bus.endOf(String(job)) !== null;
  resetFailed(bus, name);
  if (!ended) throw new Failure("deadline_exceeded", `Timed out while waiting for systemd to remove ${name}`);
}
