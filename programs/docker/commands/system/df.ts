// docker system df and prune: what takes space, and giving it back.

import type { ContainerSummary } from "../../../../api/engine/container.ts";
import type { BuildCacheRecord, DiskUsage, PruneResponse } from "../../../../api/engine/system.ts";
import { humanDuration } from "../../../../base/human.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { type RowKind, renderRows, shortId } from "../../format/rows.ts";
import { humanSize } from "../../format/units.ts";
import { containerRows } from "../container/ls.ts";
import { imageRows, rowsOf } from "../image/ls.ts";
import { showDeletedImages } from "../image/manage.ts";
import { confirm, FORMAT_USAGE, filterFlag, formatFilters } from "../shared.ts";
import { VOLUME_ROWS } from "../volume.ts";

interface UsageRow {
  type: string;
  total: number;
  active: number;
  size: number;
  reclaimable: number;
  /** Whether the share is shown beside the number. */
  share: boolean;
}

export const df: Command = {
  name: "df",
  summary: "Show docker disk usage",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const format = set.string("format", "", FORMAT_USAGE);
    const verbose = set.bool("verbose", "v", "Show each object");
    return async (cli) => {
      const usage = await cli.engine.get<DiskUsage>("/system/df");
      if (verbose.value) return showVerbose(cli, usage);
      const table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
      cli.out.print(renderRows(USAGE_ROWS, usageRows(usage), { format: format.value, table }));
    };
  },
};

const USAGE_ROWS: RowKind<UsageRow> = {
  goType: "*formatter.diskUsageContext",
  titles: { Type: "TYPE", TotalCount: "TOTAL", Active: "ACTIVE", Size: "SIZE", Reclaimable: "RECLAIMABLE" },
  fields: {
    Active: (row) => String(row.active),
    Reclaimable: (row) => {
      const share = row.share && row.size > 0 ? ` (${Math.trunc((row.reclaimable * 100) / row.size)}%)` : "";
      return humanSize(row.reclaimable) + share;
    },
    Size: (row) => humanSize(row.size),
    TotalCount: (row) => String(row.total),
    Type: (row) => row.type,
  },
};

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + Math.max(0, value), 0);
}

function usageRows(usage: DiskUsage): UsageRow[] {
  const images = usage.Images ?? [];
  const containers = usage.Containers ?? [];
  const volumes = usage.Volumes ?? [];
  const cache = usage.BuildCache ?? [];
  const layers = usage.LayersSize ?? sum(images.map((image) => image.Size));
  const usedLayers = sum(
    images
      .filter((image) => image.Containers !== 0)
      .map((image) => (image.Size === -1 || image.SharedSize === -1 ? 0 : image.Size - image.SharedSize)),
  );
  const active = (container: ContainerSummary) => ["running", "paused", "restarting"].includes(container.State);
  const idle = containers.filter((container) => !active(container));
  const unused = volumes.filter((volume) => volume.UsageData?.RefCount === 0);
  return [
    {
      type: "Images",
      total: images.length,
      active: images.filter((image) => image.Containers > 0).length,
      size: layers,
      reclaimable: layers - usedLayers,
      share: true,
    },
    {
      type: "Containers",
      total: containers.length,
      active: containers.length - idle.length,
      size: sum(containers.map((container) => container.SizeRw ?? 0)),
      reclaimable: sum(idle.map((container) => container.SizeRw ?? 0)),
      share: true,
    },
    {
      type: "Local Volumes",
      total: volumes.length,
      active: volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0).length,
      size: sum(volumes.map((volume) => volume.UsageData?.Size ?? 0)),
      reclaimable: sum(unused.map((volume) => volume.UsageData?.Size ?? 0)),
      share: true,
    },
    {
      type: "Build Cache",
      total: cache.length,
      active: cache.filter((record) => record.InUse).length,
      size: sum(cache.filter((record) => !record.Shared).map((record) => record.Size)),
      reclaimable: sum(cache.filter((record) => !record.Shared && !record.InUse).map((record) => record.Size)),
      share: false,
    },
  ];
}

function showVerbose(cli: Cli, usage: DiskUsage): void {
  const images = (usage.Images ?? []).flatMap((image) => rowsOf(image, false));
  const imageTable =
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t" +
    "{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
  cli.out.print(
    `Images space usage:\n\n${renderRows(imageRows(cli, true), images, { format: "", table: imageTable })}`,
  );
  const containers = usage.Containers ?? [];
  const rows = containerRows(cli, true);
  const containerTable =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
  cli.out.print(`\nContainers space usage:\n\n${renderRows(rows, containers, { format: "", table: containerTable })}`);
  const volumes = { format: "", table: "{{.Name}}\t{{.Links}}\t{{.Size}}" };
  cli.out.print(`\nLocal Volumes space usage:\n\n${renderRows(VOLUME_ROWS, usage.Volumes ?? [], volumes)}`);
  const cache = usage.BuildCache ?? [];
  const total = sum(cache.filter((record) => !record.Shared).map((record) => record.Size));
  const cacheTable =
    "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";
  cli.out.print(
    `\nBuild cache usage: ${humanSize(total)}\n\n` +
      renderRows(cacheRows(cli), cache, { format: "", table: cacheTable }),
  );
}

function cacheRows(cli: Cli): RowKind<BuildCacheRecord> {
  const since = (text: string | null) =>
    text === null ? "" : `${humanDuration(cli.runtime.clock.now() - Date.parse(text))} ago`;
  return {
    goType: "*formatter.buildCacheContext",
    titles: {
      ID: "CACHE ID",
      CacheType: "CACHE TYPE",
      Size: "SIZE",
      CreatedSince: "CREATED",
      LastUsedSince: "LAST USED",
      UsageCount: "USAGE",
      Shared: "SHARED",
    },
    fields: {
      CacheType: (record) => record.Type,
      CreatedSince: (record) => since(record.CreatedAt),
      ID: (record) => shortId(record.ID),
      LastUsedSince: (record) => since(record.LastUsedAt),
      Shared: (record) => String(record.Shared),
      Size: (record) => humanSize(record.Size, 3),
      UsageCount: (record) => String(record.UsageCount),
    },
  };
}

export const prune: Command = {
  name: "prune",
  summary: "Remove unused data",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const all = set.bool("all", "a", "Remove all unused images, not just untagged ones");
    const force = set.bool("force", "f", "Do not ask");
    const volumes = set.bool("volumes", "", "Remove unused anonymous volumes, too");
    const filters = filterFlag(set, "", "Which to remove (label=<key>=<value>)");
    return async (cli) => {
      if (!force.value && !(await confirm(cli, warning(all.value, volumes.value)))) {
        throw new ExitStatus(1, "system prune has been cancelled");
      }
      const call = (path: string, more: readonly string[] = []) =>
        cli.engine.post<PruneResponse>(path, { query: { filters: formatFilters([...filters.value, ...more]) } });
      const containers = await call("/containers/prune");
      const list = (title: string, names: readonly string[] | null | undefined) =>
        names?.length ? cli.out.print(`${title}:\n${names.map((name) => `${name}\n`).join("")}\n`) : undefined;
      list("Deleted Containers", containers.ContainersDeleted);
      const networks = await call("/networks/prune");
      list("Deleted Networks", networks.NetworksDeleted);
      const pruned = volumes.value ? await call("/volumes/prune") : {};
      list("Deleted Volumes", pruned.VolumesDeleted);
      const images = await call("/images/prune", [`dangling=${!all.value}`]);
      cli.out.print(showDeletedImages(images));
      const answers: PruneResponse[] = [containers, pruned, images];
      cli.out.line(`Total reclaimed space: ${humanSize(sum(answers.map((answer) => answer.SpaceReclaimed ?? 0)))}`);
    };
  },
};

function warning(all: boolean, volumes: boolean): string {
  const lines = ["all stopped containers", "all networks not used by at least one container"];
  if (volumes) lines.push("all anonymous volumes not used by at least one container");
  lines.push(all ? "all images without at least one container associated to them" : "all dangling images");
  return `WARNING! This will remove:\n${lines.map((line) => `  - ${line}\n`).join("")}`;
}
