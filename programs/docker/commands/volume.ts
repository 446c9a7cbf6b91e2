// The commands of docker volume.

import type { PruneResponse, Volume, VolumeList } from "../../../api/engine/system.ts";
import { mapOf } from "../../../base/flags/values.ts";
import type { Command, Group } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { joinMap, type RowKind, renderRows } from "../format/rows.ts";
import { humanSize } from "../format/units.ts";
import { checkLabel, toMap } from "../options/values.ts";
import { pathSegment } from "../reference.ts";
import { confirm, FORMAT_USAGE, filterFlag, forEachName, formatFilters } from "./shared.ts";
import { inspectKind } from "./system/inspect.ts";

const create: Command = {
  name: "create",
  summary: "Create a volume",
  usage: "[OPTIONS] [VOLUME]",
  args: [0, 1],
  define(set) {
    const driver = set.string("driver", "d", "Driver of the volume", "local");
    const labels = set.list("label", "", "Set labels");
    const options = set.add(mapOf(), ["opt", "o"], { usage: "Options of the driver", initial: new Map() });
    const name = set.add({ word: "string", bare: null, parse: (text: string) => text, show: () => "" }, ["name", ""], {
      usage: "",
      initial: "",
      options: { hidden: true },
    });
    return async (cli, [given]) => {
      if (given !== undefined && name.value !== "") {
        throw new ExitStatus(
          1,
          "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
        );
      }
      const chosen = given ?? name.value;
      const volume = await cli.engine.post<Volume>("/volumes/create", {
        json: {
          Driver: driver.value,
          ...(options.value.size === 0 ? {} : { DriverOpts: Object.fromEntries(options.value) }),
          ...(labels.value.length === 0 ? {} : { Labels: toMap(labels.value.map(checkLabel)) }),
          ...(chosen === "" ? {} : { Name: chosen }),
        },
      });
      cli.out.line(volume.Name);
    };
  },
};

const ls: Command = {
  name: "ls",
  aliases: ["list"],
  summary: "List volumes",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const filters = filterFlag(set);
    const format = set.string("format", "", FORMAT_USAGE);
    const quiet = set.bool("quiet", "q", "Show names only");
    return async (cli) => {
      const answer = await cli.engine.get<VolumeList>("/volumes", { filters: formatFilters(filters.value) });
      const chosen = format.value || (quiet.value ? "" : (cli.config.volumesFormat ?? ""));
      const volumes = [...(answer.Volumes ?? [])].sort((a, b) => compareNatural(a.Name, b.Name));
      const rowFormat = { format: chosen, table: "{{.Driver}}\t{{.Name}}", quiet: quiet.value ? "Name" : null };
      cli.out.print(renderRows(VOLUME_ROWS, volumes, rowFormat));
      for (const warning of answer.Warnings ?? []) cli.err.line(warning);
    };
  },
};

/** Numbers inside names count as numbers. */
export function compareNatural(a: string, b: string): number {
  const [left, right] = [a.split(/(\d+)/), b.split(/(\d+)/)];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    if (left[at] === right[at]) continue;
    const difference = at % 2 === 1 ? Number(left[at]) - Number(right[at]) : 0;
    return difference || (left[at]! < right[at]! ? -1 : 1);
  }
  return left.length - right.length;
}

export const VOLUME_ROWS: RowKind<Volume> = {
  goType: "*formatter.volumeContext",
  titles: {
    Name: "VOLUME NAME",
    Driver: "DRIVER",
    Scope: "SCOPE",
    Mountpoint: "MOUNTPOINT",
    Labels: "LABELS",
    Links: "LINKS",
    Size: "SIZE",
    Availability: "AVAILABILITY",
    Group: "GROUP",
    Status: "STATUS",
  },
  fields: {
    Availability: () => "N/A",
    Driver: (volume) => volume.Driver,
    Group: () => "N/A",
    Label: (volume) => (name: unknown) => volume.Labels?.[String(name)] ?? "",
    Labels: (volume) => joinMap(volume.Labels),
    Links: (volume) => (volume.UsageData ? String(volume.UsageData.RefCount) : "N/A"),
    Mountpoint: (volume) => volume.Mountpoint,
    Name: (volume) => volume.Name,
    Scope: (volume) => volume.Scope,
    Size: (volume) => (volume.UsageData ? humanSize(volume.UsageData.Size) : "N/A"),
    Status: () => "N/A",
  },
};

const rm: Command = {
  name: "rm",
  aliases: ["remove"],
  summary: "Remove one or more volumes",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  args: [1, null],
  define(set) {
    const force = set.bool("force", "f", "Force the removal");
    return (cli, names) =>
      forEachName(cli, names, async (name) => {
        await cli.engine.json("DELETE", `/volumes/${pathSegment(name)}`, { query: { force: force.value ? 1 : null } });
      });
  },
};

const prune: Command = {
  name: "prune",
  summary: "Remove unused local volumes",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const all = set.bool("all", "a", "Remove all unused volumes, not just anonymous ones");
    const force = set.bool("force", "f", "Do not ask");
    const filters = filterFlag(set, "", "Which to remove (label=<label>)");
    return async (cli) => {
      const which = all.value ? "local volumes" : "anonymous local volumes";
      const warning = `WARNING! This will remove ${which} not used by at least one container.`;
      if (!force.value && !(await confirm(cli, warning))) throw new ExitStatus(1, "volume prune has been cancelled");
      const conditions = [...filters.value, ...(all.value ? ["all=true"] : [])];
      const answer = await cli.engine.post<PruneResponse>("/volumes/prune", {
        query: { filters: formatFilters(conditions) },
      });
      const deleted = answer.VolumesDeleted ?? [];
      if (deleted.length > 0) cli.out.print(`Deleted Volumes:\n${deleted.map((name) => `${name}\n`).join("")}\n`);
      cli.out.line(`Total reclaimed space: ${humanSize(answer.SpaceReclaimed ?? 0)}`);
    };
  },
};

export const VOLUME_GROUP: Group = {
  name: "volume",
  summary: "Manage volumes",
  commands: [create, inspectKind("volume", "Display detailed information on one or more volumes"), ls, prune, rm],
};
