// Commands that name, remove and describe images: rmi, tag, history, prune.

import type { ImageDeleteItem, ImageHistoryItem } from "../../../../api/engine/image.ts";
import type { PruneResponse } from "../../../../api/engine/system.ts";
import { messageOf } from "../../../../base/errors.ts";
import { quote } from "../../../../base/flags/go.ts";
import { commaList } from "../../../../base/flags/values.ts";
import { humanDuration } from "../../../../base/human.ts";
import { DaemonError } from "../../call/engine/engine.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { ellipsis, type RowKind, renderRows, shortId } from "../../format/rows.ts";
import { humanSize } from "../../format/units.ts";
import { parseReference, pathSegment, repositoryOf } from "../../reference.ts";
import { confirm, FORMAT_USAGE, filterFlag, formatFilters } from "../shared.ts";
import { platformJson } from "./pull.ts";

export const rm: Command = {
  name: "rm",
  aliases: ["remove"],
  summary: "Remove one or more images",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  args: [1, null],
  define(set) {
    const force = set.bool("force", "f", "Force the removal");
    const noPrune = set.bool("no-prune", "", "Keep untagged parents");
    const platforms = set.add(commaList(), ["platform", ""], { usage: "Remove only these platforms", initial: [] });
    return async (cli, names) => {
      const failures: string[] = [];
      let fatal = false;
      for (const name of names) {
        try {
          const items = await cli.engine.json<ImageDeleteItem[]>("DELETE", `/images/${pathSegment(name)}`, {
            query: { force: force.value ? 1 : null, noprune: noPrune.value ? 1 : null },
            repeated: platforms.value.map((platform) => ["platforms", platformJson(platform)!] as const),
          });
          for (const item of items)
            cli.out.line(item.Deleted ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`);
        } catch (thrown) {
          fatal ||= !(thrown instanceof DaemonError && thrown.status === 404);
          failures.push(messageOf(thrown));
        }
      }
      if (failures.length === 0) return;
      if (force.value && !fatal) {
        for (const failure of failures) cli.err.line(failure);
        return;
      }
      throw new ExitStatus(1, failures.join("\n"));
    };
  },
};

export const tag: Command = {
  name: "tag",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  args: [2, 2],
  define:
    () =>
    async (cli, [source, target]) => {
      const reference = parse(target!);
      if (reference.digest !== "") throw new ExitStatus(1, "refusing to create a tag with a digest reference");
      if (!/^[a-f0-9]{64}$/.test(source!)) parse(source!);
      await cli.engine.post(`/images/${pathSegment(source!)}/tag`, {
        query: { repo: repositoryOf(reference), tag: reference.tag || "latest" },
      });
    },
};

function parse(name: string) {
  try {
    return parseReference(name);
  } catch (thrown) {
    throw new ExitStatus(
      1,
      `Error parsing reference: ${quote(name)} is not a valid repository/tag: ${messageOf(thrown)}`,
    );
  }
}

export const history: Command = {
  name: "history",
  summary: "Show the history of an image",
  usage: "[OPTIONS] IMAGE",
  args: [1, 1],
  define(set) {
    const format = set.string("format", "", FORMAT_USAGE);
    const human = set.bool("human", "H", "Sizes and dates for people", true);
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    const quiet = set.bool("quiet", "q", "Show ids only");
    const platform = set.string("platform", "", "History of this platform's image");
    return async (cli, [name]) => {
      const query = { platform: platformJson(platform.value) };
      const items = await cli.engine.get<ImageHistoryItem[]>(`/images/${pathSegment(name!)}/history`, query);
      const now = cli.runtime.clock.now();
      const kind = historyRows({ human: human.value, cut: !noTrunc.value, now });
      const since = human.value ? "CreatedSince" : "CreatedAt";
      const table = `{{.ID}}\t{{.${since}}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`;
      cli.out.print(renderRows(kind, items, { format: format.value, table, quiet: quiet.value ? "ID" : null }));
    };
  },
};

const CREATED_BY_LETTERS = 45;

function historyRows(style: { human: boolean; cut: boolean; now: number }): RowKind<ImageHistoryItem> {
  const createdAt = (item: ImageHistoryItem) => `${new Date(item.Created * 1000).toISOString().slice(0, 19)}Z`;
  return {
    goType: "*formatter.historyContext",
    titles: {
      ID: "IMAGE",
      CreatedSince: "CREATED",
      CreatedAt: "CREATED AT",
      CreatedBy: "CREATED BY",
      Size: "SIZE",
      Comment: "COMMENT",
    },
    fields: {
      Comment: (item) => item.Comment,
      CreatedAt: createdAt,
      CreatedBy: (item) => {
        const text = item.CreatedBy.replace(/\t/g, " ");
        return style.cut ? ellipsis(text, CREATED_BY_LETTERS) : text;
      },
      CreatedSince: (item) => (style.human ? `${humanDuration(style.now - item.Created * 1000)} ago` : createdAt(item)),
      ID: (item) => (style.cut ? shortId(item.Id) : item.Id),
      Size: (item) => (style.human ? humanSize(item.Size, 3) : String(item.Size)),
    },
  };
}

export const prune: Command = {
  name: "prune",
  summary: "Remove unused images",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const all = set.bool("all", "a", "Remove all unused images, not just untagged ones");
    const force = set.bool("force", "f", "Do not ask");
    const filters = filterFlag(set, "", "Which to remove (until=<timestamp>, label=…)");
    return async (cli) => {
      const which = all.value ? "all images without at least one container associated to them" : "all dangling images";
      const warning = `WARNING! This will remove ${which}.`;
      if (!force.value && !(await confirm(cli, warning))) throw new ExitStatus(1, "image prune has been cancelled");
      const conditions = [...filters.value, `dangling=${!all.value}`];
      const answer = await cli.engine.post<PruneResponse>("/images/prune", {
        query: { filters: formatFilters(conditions) },
      });
      cli.out.print(showDeletedImages(answer));
      cli.out.line(`Total reclaimed space: ${humanSize(answer.SpaceReclaimed ?? 0)}`);
    };
  },
};

export function showDeletedImages(answer: PruneResponse): string {
  const items = answer.ImagesDeleted ?? [];
  if (items.length === 0) return "";
  const lines = items.map((item) => (item.Untagged ? `untagged: ${item.Untagged}\n` : `deleted: ${item.Deleted}\n`));
  return `Deleted Images:\n${lines.join("")}\n`;
}
