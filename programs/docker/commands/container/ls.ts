// docker ps: containers as rows.

import type { ContainerSummary, Port } from "../../../../api/engine/container.ts";
import { quote } from "../../../../base/flags/go.ts";
import { humanDuration } from "../../../../base/human.ts";
import { Shown } from "../../../../base/template/print.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ellipsis, joinMap, type RowKind, renderRows, shortId } from "../../format/rows.ts";
import { humanSize, utcTime } from "../../format/units.ts";
import { familiarName, parseReference } from "../../reference.ts";
import { FORMAT_USAGE, filterFlag, formatFilters } from "../shared.ts";

export const ls: Command = {
  name: "ls",
  aliases: ["ps", "list"],
  summary: "List containers",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const all = set.bool("all", "a", "Show all containers, not just running ones");
    const filters = filterFlag(set);
    const format = set.string("format", "", FORMAT_USAGE);
    const last = set.int("last", "n", "Show the last n created containers", -1);
    const latest = set.bool("latest", "l", "Show the last created container");
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    const quiet = set.bool("quiet", "q", "Show ids only");
    const size = set.bool("size", "s", "Show sizes");
    return async (cli) => {
      const chosen = format.value || (quiet.value ? "" : (cli.config.psFormat ?? ""));
      const limit = latest.value && last.value === -1 ? 1 : last.value;
      const wantsSize = size.value || /\.Size\b/.test(chosen) || chosen === "json";
      const summaries = await cli.engine.get<ContainerSummary[]>("/containers/json", {
        all: all.value ? 1 : null,
        filters: formatFilters(filters.value),
        limit: limit > 0 ? limit : null,
        size: wantsSize ? 1 : null,
      });
      const table = DEFAULT_TABLE + (size.value ? "\t{{.Size}}" : "");
      const kind = containerRows(cli, !noTrunc.value);
      const rowFormat = { format: chosen, table, quiet: quiet.value ? "ID" : null };
      cli.out.print(renderRows(kind, summaries, rowFormat));
    };
  },
};

const DEFAULT_TABLE = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const COMMAND_LETTERS = 20;
const MOUNT_LETTERS = 15;

export function containerRows(cli: Cli, cut: boolean): RowKind<ContainerSummary> {
  const now = cli.runtime.clock.now();
  const id = (text: string) => (cut ? shortId(text) : text.replace(/^sha256:/, ""));
  const platform = (item: ContainerSummary) => {
    const value = item.ImageManifestDescriptor?.platform ?? null;
    if (value === null) return new Shown("<nil>", null);
    const parts = [value.os, value.architecture, value.variant ?? ""];
    return new Shown(parts.filter((part) => part !== "").join("/"), value);
  };
  return {
    goType: "*formatter.ContainerContext",
    titles: {
      ID: "CONTAINER ID",
      Names: "NAMES",
      Image: "IMAGE",
      Command: "COMMAND",
      CreatedAt: "CREATED AT",
      RunningFor: "CREATED",
      Ports: "PORTS",
      State: "STATE",
      Status: "STATUS",
      Size: "SIZE",
      Labels: "LABELS",
      Mounts: "MOUNTS",
      LocalVolumes: "LOCAL VOLUMES",
      Networks: "NETWORKS",
      Platform: "PLATFORM",
      HealthStatus: "HEALTH STATUS",
    },
    fields: {
      Command: (item) => quote(cut ? ellipsis(item.Command, COMMAND_LETTERS) : item.Command),
      CreatedAt: (item) => utcTime(item.Created),
      HealthStatus: (item) =>
        item.Health?.Status ??
        /\((healthy|unhealthy|health: starting)\)/.exec(item.Status)?.[1]?.replace("health: ", "") ??
        "",
      ID: (item) => (cut ? shortId(item.Id) : item.Id),
      Image: (item) => imageName(item, id),
      Label: (item) => (name: unknown) => item.Labels?.[String(name)] ?? "",
      Labels: (item) => joinMap(item.Labels),
      LocalVolumes: (item) => String(item.Mounts.filter((mount) => mount.Driver === "local").length),
      Mounts: (item) => item.Mounts.map((mount) => mountName(mount.Name || mount.Source, cut)).join(","),
      Names: (item) => namesOf(item, cut),
      Networks: (item) =>
        Object.keys(item.NetworkSettings?.Networks ?? {})
          .sort()
          .join(","),
      Platform: platform,
      Ports: (item) => showPorts(item.Ports ?? []),
      RunningFor: (item) => `${humanDuration(now - item.Created * 1000)} ago`,
      Size: (item) => sizeOf(item),
      State: (item) => item.State,
      Status: (item) => item.Status,
    },
  };
}

function sizeOf(item: ContainerSummary): string {
  const own = humanSize(item.SizeRw ?? 0, 3);
  return (item.SizeRootFs ?? 0) > 0 ? `${own} (virtual ${humanSize(item.SizeRootFs!, 3)})` : own;
}

function namesOf(item: ContainerSummary, cut: boolean): string {
  const names = item.Names.map((name) => name.replace(/^\//, ""));
  return (cut ? names.filter((name) => !name.includes("/")) : names).join(",");
}

function mountName(name: string, cut: boolean): string {
  return cut ? ellipsis(name, MOUNT_LETTERS) : name;
}

function imageName(item: ContainerSummary, id: (text: string) => string): string {
  if (item.Image === "") return "<no image>";
  if (item.Image === item.ImageID || item.Image === item.ImageID.replace(/^sha256:/, "")) return id(item.Image);
  if (/^[0-9a-f]{64}$/.test(item.Image)) return item.Image;
  try {
    const reference = parseReference(item.Image);
    if (reference.digest !== "")
      return reference.tag === "" ? familiarName(reference) : `${familiarName(reference)}:${reference.tag}`;
  } catch {
    // Not a name: an id, shown as it came.
  }
  return item.Image;
}

/** "0.0.0.0:80->80/tcp, 443/tcp", neighbouring ports joined into ranges. */
export function showPorts(ports: readonly Port[]): string {
  const sorted = [...ports].sort(comparePorts);
  const groups: { key: string; first: Port; last: Port }[] = [];
  for (const port of sorted) {
    const key = `${port.IP ?? ""}/${port.Type}`;
    const open = groups.findLast((group) => group.key === key);
    const follows =
      open !== undefined &&
      open.last.PrivatePort + 1 === port.PrivatePort &&
      (port.PublicPort === undefined
        ? open.last.PublicPort === undefined
        : open.last.PublicPort === port.PublicPort - 1) &&
      (port.PublicPort === undefined ||
        open.last.PublicPort! - open.last.PrivatePort === port.PublicPort - port.PrivatePort);
    const same = port.PublicPort === undefined || open?.first.PublicPort === open?.first.PrivatePort;
    const equal = port.PublicPort === undefined || port.PublicPort === port.PrivatePort;
    if (follows && same && equal) open.last = port;
    else groups.push({ key, first: port, last: port });
  }
  return groups.map(({ first, last }) => showGroup(first, last)).join(", ");
}

function showGroup(first: Port, last: Port): string {
  const range = first === last ? String(first.PrivatePort) : `${first.PrivatePort}-${last.PrivatePort}`;
  if (!first.PublicPort) return `${range}/${first.Type}`;
  const published = first === last ? String(first.PublicPort) : `${first.PublicPort}-${last.PublicPort}`;
  const address = first.IP?.includes(":") ? `[${first.IP}]` : (first.IP ?? "");
  return `${address === "" ? "" : `${address}:`}${published}->${range}/${first.Type}`;
}

function comparePorts(a: Port, b: Port): number {
  return (
    a.PrivatePort - b.PrivatePort ||
    (a.IP ?? "").localeCompare(b.IP ?? "") ||
    (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
    a.Type.localeCompare(b.Type)
  );
}
