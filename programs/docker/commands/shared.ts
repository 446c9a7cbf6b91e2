// What several commands do alike: a call for each name, filters, asking before something is deleted.

import { messageOf } from "../../../base/errors.ts";
import type { Flag, FlagSet } from "../../../base/flags/flagset.ts";
import { BadValue } from "../../../base/flags/go.ts";
import { listOf } from "../../../base/flags/values.ts";
import type { Cli } from "../cli.ts";
import { ExitStatus } from "../failure.ts";

/** Does `action` for each name and prints the name when it succeeded; failures are said at the end, in order. */
export async function forEachName(
  cli: Cli,
  names: readonly string[],
  action: (name: string) => Promise<string> | Promise<void>,
): Promise<void> {
  const failures: string[] = [];
  // All at once: the daemon works on them side by side, and the answers are printed in order.
  const outcomes = names.map((name) =>
    action(name).then(
      (said) => ({ said: said ?? name, failure: null }),
      (thrown: unknown) => ({ said: null, failure: messageOf(thrown) }),
    ),
  );
  for (const outcome of outcomes) {
    const { said, failure } = await outcome;
    if (failure !== null) failures.push(failure);
    else if (said !== null && said !== "") cli.out.line(said);
  }
  if (failures.length > 0) throw new ExitStatus(1, failures.join("\n"));
}

export function filterFlag(set: FlagSet, short = "f", usage = "Filter the output by conditions"): Flag<string[]> {
  const check = (text: string) => {
    if (text !== "" && !text.includes("=")) throw new BadValue("bad format of filter (expected name=value)");
    return text;
  };
  return set.add(listOf(check, "filter"), ["filter", short], { usage, initial: [] });
}

/** As the API takes filters: {"label":{"a":true,"b":true}}; null for none. */
export function formatFilters(filters: readonly string[]): string | null {
  const byName: Record<string, Record<string, boolean>> = {};
  for (const filter of filters) {
    if (filter === "") continue;
    const equals = filter.indexOf("=");
    const name = filter.slice(0, equals).trim().toLowerCase();
    (byName[name] ??= {})[filter.slice(equals + 1).trim()] = true;
  }
  const names = Object.keys(byName).sort();
  if (names.length === 0) return null;
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, sortKeys(byName[name]!)])));
}

function sortKeys(values: Record<string, boolean>): Record<string, boolean> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Asks on stdout and reads one line; anything but y or Y is no. */
export async function confirm(cli: Cli, warning: string): Promise<boolean> {
  cli.out.print(`${warning}\nAre you sure you want to continue? [y/N] `);
  await cli.out.flush();
  const into = new Uint8Array(1);
  let answer = "";
  while ((await cli.runtime.stdin.read(into)) > 0 && into[0] !== 10) answer += String.fromCharCode(into[0]!);
  return answer.trim().toLowerCase() === "y";
}

export const FORMAT_USAGE = "Show with a Go template; 'table', 'table TEMPLATE' and 'json' are known, too";
