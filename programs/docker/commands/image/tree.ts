// The list of images as version 29 draws it: name, id, size on disk, size of the content, and what is in use; with
// --tree also a line for each platform.

import type { ImageSummary, ManifestSummary } from "../../../../api/engine/image.ts";
import type { Cli } from "../../cli.ts";
import { shortId } from "../../format/rows.ts";
import { humanSize } from "../../format/units.ts";

interface Line {
  name: string;
  id: string;
  usage: string;
  content: string;
  extra: string;
}

const GAP = 3;

/** `expanded` draws the platforms, too. */
export function imageTree(cli: Cli, images: readonly ImageSummary[], expanded: boolean): string {
  const lines: Line[] = [{ name: "IMAGE", id: "ID", usage: "DISK USAGE", content: "CONTENT SIZE", extra: "EXTRA" }];
  const sorted = [...images].sort((a, b) => (firstName(a) < firstName(b) ? -1 : 1));
  for (const image of sorted) {
    const names = image.RepoTags ?? [];
    const tagged = names.length > 0 ? names : ["<untagged>"];
    for (const name of [...tagged].sort()) {
      lines.push(imageLine(name, image));
      if (expanded) lines.push(...platformLines(image));
    }
  }
  const widths = {
    name: widest(lines, "name"),
    id: widest(lines, "id"),
    usage: widest(lines, "usage"),
    content: widest(lines, "content"),
  };
  const gap = " ".repeat(GAP);
  const text = lines.map((line, at) => {
    // Numbers stand at the right, their titles at the left.
    const usage = at === 0 ? line.usage.padEnd(widths.usage) : line.usage.padStart(widths.usage);
    const content = at === 0 ? line.content.padEnd(widths.content) : line.content.padStart(widths.content);
    const cells = [line.name.padEnd(widths.name), line.id.padEnd(widths.id), usage, content, line.extra];
    return cells.join(gap).trimEnd();
  });
  const legend = cli.runtime.terminal.isTerminal(1) ? "U  In Use\n" : "";
  return `${legend}${text.join("\n")}\n`;
}

function firstName(image: ImageSummary): string {
  return image.RepoTags?.[0] ?? "~";
}

function widest(lines: readonly Line[], field: keyof Line): number {
  return lines.reduce((most, line) => Math.max(most, [...line[field]].length), 0);
}

function imageLine(name: string, image: ImageSummary): Line {
  const manifests = (image.Manifests ?? []).filter((manifest) => manifest.Kind === "image");
  const content = manifests.reduce((sum, manifest) => sum + manifest.Size.Content, 0);
  const used = image.Containers > 0 || manifests.some((manifest) => (manifest.ImageData?.Containers ?? []).length > 0);
  return {
    name,
    id: shortId(image.Id),
    usage: humanSize(image.Size, 3),
    content: humanSize(content, 3),
    extra: used ? "U" : "",
  };
}

function platformLines(image: ImageSummary): Line[] {
  const manifests = (image.Manifests ?? []).filter((manifest) => manifest.Kind === "image");
  return manifests.map((manifest, at) => ({
    name: `${at === manifests.length - 1 ? "└─" : "├─"} ${platformName(manifest)}`,
    id: shortId(manifest.ID),
    usage: humanSize(manifest.Size.Total, 3),
    content: humanSize(manifest.Size.Content, 3),
    extra: (manifest.ImageData?.Containers ?? []).length > 0 ? "U" : "",
  }));
}

function platformName(manifest: ManifestSummary): string {
  const platform = manifest.ImageData?.Platform ?? manifest.Descriptor.platform;
  if (platform === undefined) return "<unknown>";
  return [platform.os, platform.architecture, platform.variant]
    .filter((part) => part !== undefined && part !== "")
    .join("/");
}
