// docker images: as a tree of images and platforms when a recent daemon is asked without further wishes, else as a
// table.

import type { ImageSummary } from "../../../../api/engine/image.ts";
import { humanDuration } from "../../../../base/human.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { type RowKind, renderRows, shortId } from "../../format/rows.ts";
import { humanSize, utcTime } from "../../format/units.ts";
import { familiarName, parseReference } from "../../reference.ts";
import { FORMAT_USAGE, filterFlag, formatFilters } from "../shared.ts";
import { imageTree } from "./tree.ts";

export const ls: Command = {
  name: "ls",
  aliases: ["list"],
  summary: "List images",
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  args: [0, 1],
  define(set) {
    const all = set.bool("all", "a", "Show intermediate images, too");
    const digests = set.bool("digests", "", "Show digests");
    const filters = filterFlag(set);
    const format = set.string("format", "", FORMAT_USAGE);
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    const quiet = set.bool("quiet", "q", "Show ids only");
    const tree = set.bool("tree", "", "Show platforms of images as a tree");
    return async (cli, [name]) => {
      const conditions = name === undefined ? filters.value : [...filters.value, `reference=${name}`];
      const chosen = format.value || (quiet.value ? "" : (cli.config.imagesFormat ?? ""));
      const plain = chosen !== "" || quiet.value || digests.value || noTrunc.value;
      const asTree = tree.value || (!plain && (await cli.engine.atLeast("1.52")));
      const images = await cli.engine.get<ImageSummary[]>("/images/json", {
        all: all.value ? 1 : null,
        filters: formatFilters(conditions),
        manifests: asTree ? 1 : null,
      });
      if (asTree) {
        const shown = all.value
          ? images
          : images.filter((image) => (image.RepoTags ?? []).length > 0 || isDangling(conditions));
        cli.out.print(imageTree(cli, shown, tree.value));
        return;
      }
      const digest = digests.value ? "{{.Digest}}\t" : "";
      const table = `{{.Repository}}\t{{.Tag}}\t${digest}{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`;
      const byDigest = digests.value || /\.Digest\b/.test(chosen);
      const rows = images.flatMap((image) => rowsOf(image, byDigest, quiet.value));
      cli.out.print(
        renderRows(imageRows(cli, !noTrunc.value), rows, { format: chosen, table, quiet: quiet.value ? "ID" : null }),
      );
    };
  },
};

function isDangling(conditions: readonly string[]): boolean {
  return conditions.some((condition) => condition.startsWith("dangling="));
}

export interface ImageRow {
  image: ImageSummary;
  repository: string;
  tag: string;
  digest: string;
}

const NONE = "<none>";

/** One row for each name of an image. */
export function rowsOf(image: ImageSummary, byDigest: boolean, once = false): ImageRow[] {
  const tags = (image.RepoTags ?? []).filter((name) => name !== "<none>:<none>").map(split);
  const digests = (image.RepoDigests ?? []).filter((name) => name !== "<none>@<none>").map(split);
  if (once) return [{ image, repository: NONE, tag: NONE, digest: NONE }];
  const rows: ImageRow[] = tags.map(({ repository, tag }) => {
    const digest = byDigest ? digests.find((each) => each.repository === repository)?.digest : undefined;
    return { image, repository, tag: tag || NONE, digest: digest ?? NONE };
  });
  if (rows.length > 0) return rows;
  if (digests.length > 0) {
    return digests.map(({ repository, digest }) => ({
      image,
      repository,
      tag: NONE,
      digest: byDigest ? digest : NONE,
    }));
  }
  return [{ image, repository: NONE, tag: NONE, digest: NONE }];
}

function split(name: string): { repository: string; tag: string; digest: string } {
  try {
    const reference = parseReference(name);
    return { repository: familiarName(reference), tag: reference.tag, digest: reference.digest };
  } catch {
    return { repository: name, tag: "", digest: "" };
  }
}

export function imageRows(cli: Cli, cut: boolean): RowKind<ImageRow> {
  const now = cli.runtime.clock.now();
  return {
    goType: "*formatter.imageContext",
    titles: {
      ID: "IMAGE ID",
      Repository: "REPOSITORY",
      Tag: "TAG",
      Digest: "DIGEST",
      CreatedSince: "CREATED",
      CreatedAt: "CREATED AT",
      Size: "SIZE",
      Containers: "CONTAINERS",
      VirtualSize: "SIZE",
      SharedSize: "SHARED SIZE",
      UniqueSize: "UNIQUE SIZE",
    },
    fields: {
      Containers: ({ image }) => (image.Containers === -1 ? "N/A" : String(image.Containers)),
      CreatedAt: ({ image }) => utcTime(image.Created),
      CreatedSince: ({ image }) => (image.Created <= 0 ? "N/A" : `${humanDuration(now - image.Created * 1000)} ago`),
      Digest: ({ digest }) => digest,
      ID: ({ image }) => (cut ? shortId(image.Id) : image.Id),
      Repository: ({ repository }) => repository,
      SharedSize: ({ image }) => (image.SharedSize === -1 ? "N/A" : humanSize(image.SharedSize)),
      Size: ({ image }) => humanSize(image.Size, 3),
      Tag: ({ tag }) => tag,
      UniqueSize: ({ image }) => (image.SharedSize === -1 ? "N/A" : humanSize(image.Size - image.SharedSize)),
      VirtualSize: ({ image }) => humanSize(image.Size),
    },
  };
}
