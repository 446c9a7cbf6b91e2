// docker search: images of the public registry, as the daemon finds them.

import type { Command } from "../../command.ts";
import { ellipsis, type RowKind, renderRows } from "../../format/rows.ts";
import { filterFlag, formatFilters } from "../shared.ts";

interface SearchResult {
  name: string;
  description: string;
  star_count: number;
  is_official: boolean;
}

const DESCRIPTION_LETTERS = 45;

export const search: Command = {
  name: "search",
  summary: "Search Docker Hub for images",
  usage: "[OPTIONS] TERM",
  args: [1, 1],
  define(set) {
    const filters = filterFlag(set);
    const format = set.string("format", "", "Show with a Go template");
    const limit = set.int("limit", "", "Most results to show");
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    return async (cli, [term]) => {
      const query = { filters: formatFilters(filters.value), limit: limit.value || null, term: term! };
      const results = await cli.engine.get<SearchResult[]>("/images/search", query);
      const table = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
      cli.out.print(renderRows(searchRows(!noTrunc.value), results, { format: format.value, table }));
    };
  },
};

function searchRows(cut: boolean): RowKind<SearchResult> {
  return {
    goType: "*search.Context",
    titles: { Name: "NAME", Description: "DESCRIPTION", StarCount: "STARS", IsOfficial: "OFFICIAL" },
    fields: {
      Description: (item) => {
        const text = item.description.replace(/[\r\n]/g, " ");
        return cut ? ellipsis(text, DESCRIPTION_LETTERS) : text;
      },
      IsOfficial: (item) => (item.is_official ? "[OK]" : ""),
      Name: (item) => item.name,
      StarCount: (item) => String(item.star_count),
    },
  };
}
