// The cgroups that a container is restored into: made and joined as at a creation, with criu in the place of the first
// process, so that what it restores is born in them. systemd moves criu once it runs; it waits for its request.
//
//     make ─▶ (criu is started with what `open` gives) ─▶ settle ─▶ … ─▶ undo, when it does not end well

import { Failure } from "../../base/errors.ts";
import type * as fs from "../../linux/fd.ts";
import { isFrozen } from "../cgroups/freezer.ts";
import type { Hierarchy } from "../cgroups/hierarchies.ts";
import { setDevices, setLimits } from "../cgroups/limits.ts";
import * as groups from "../cgroups/manager.ts";
import { giveUnit } from "../cgroups/systemd/owner.ts";
import { withRoundedQuota } from "../cgroups/systemd/properties.ts";
import { placeOf, startUnit } from "../cgroups/systemd/scope.ts";
import { writeMade } from "../layout.ts";
import type { Plan } from "../plan.ts";
import { endUnit } from "../remove.ts";

export class RestoredGroups {
  readonly #plan: Plan;
  /** Where they will be, and what of that is there by now. */
  #placed: groups.Cgroups = { paths: {}, unified: false };
  #made: groups.Cgroups = this.#placed;
  /** Those that we join ourselves. */
  #own: groups.Cgroups = this.#placed;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  get cgroups(): groups.Cgroups {
    return this.#placed;
  }

  make(): void {
    const { id, linux, paths, unit } = this.#plan;
    const { cgroups, hierarchies } = unit === null ? groups.placeCgroups(linux.cgroupsPath, id) : placeOf(unit);
    groups.refuseOccupied(cgroups.paths);
    if (isFrozen(cgroups.paths)) throw new Failure("failed_precondition", "container's cgroup unexpectedly frozen");
    const keeper = unit === null ? "files" : unit.user ? "user" : "machine";
    writeMade(paths, { cgroups: cgroups.paths, keeper });
    this.#placed = cgroups;
    const ours = unit === null ? hierarchies : hierarchies.filter(isNotSystemds);
    this.#own = { ...cgroups, paths: pathsOf(cgroups, ours) };
    this.#made = this.#own;
    groups.makeCgroups(cgroups, ours);
    if (unit === null) setDevices(cgroups, linux.resources);
  }

  /** For the one who is to be born in them. */
  open(): { birthplace: fs.Fd | null; tasks: fs.Fd[] } {
    return { birthplace: groups.openBirthplace(this.#own), tasks: groups.openTasks(this.#own) };
  }

  /** Limits, as the original has it, before anything is restored. */
  settle(pid: number): void {
    const { linux, unit } = this.#plan;
    const { resources } = linux;
    if (unit !== null) {
      startUnit(unit, { pid, resources, unified: this.#placed.unified });
      this.#made = this.#placed;
      giveUnit(this.#plan, this.#placed.paths);
      setDevices(this.#placed, resources);
    }
    setLimits(this.#placed, unit === null || resources === null ? resources : withRoundedQuota(resources));
  }

  undo(): void {
    const { unit } = this.#plan;
    groups.killAll(this.#made.paths);
    if (unit !== null && this.#made === this.#placed) {
      endUnit({ paths: this.#made.paths, user: unit.user }, () => {});
    }
    groups.removeCgroups(this.#made.paths);
  }
}

function isNotSystemds({ name }: Hierarchy): boolean {
  return name !== "" && name !== "name=systemd";
}

function pathsOf(cgroups: groups.Cgroups, hierarchies: readonly Hierarchy[]): groups.CgroupPaths {
  const names = hierarchies.flatMap(({ name }) => name.split(","));
  return Object.fromEntries(names.map((name) => [name, cgroups.paths[name]!]));
}
