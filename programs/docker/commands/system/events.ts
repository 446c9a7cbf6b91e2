// docker events: what happens at the daemon, as it happens.

import { JsonLines } from "../../../../api/engine/progress.ts";
import type { EventMessage } from "../../../../api/engine/system.ts";
import { Template } from "../../../../base/template/executor.ts";
import { TemplateError } from "../../../../base/template/lexer.ts";
import { showJson } from "../../../../base/template/print.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { filterFlag, formatFilters } from "../shared.ts";
import { timeArgument } from "../time.ts";

export const events: Command = {
  name: "events",
  summary: "Get real time events from the server",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const filters = filterFlag(set);
    const format = set.string("format", "", "Show with a Go template, or 'json'");
    const since = set.string("since", "", "Also what happened since this time");
    const until = set.string("until", "", "End at this time");
    return async (cli) => {
      const show = formatter(format.value);
      const now = cli.runtime.clock.now();
      const response = await cli.engine.open("GET", "/events", {
        query: {
          filters: formatFilters(filters.value),
          since: since.value === "" ? null : wholeSeconds(timeArgument(since.value, now), since.value),
          until: until.value === "" ? null : wholeSeconds(timeArgument(until.value, now), until.value),
        },
      });
      const lines = new JsonLines();
      for (let piece = await response.body.read(); piece !== null; piece = await response.body.read()) {
        for (const event of lines.push(piece)) cli.out.line(show(event as EventMessage));
        await cli.out.flush();
      }
    };
  },
};

/** Durations are asked for in whole seconds, as the original does; exact times keep their fraction. */
function wholeSeconds(argument: string, given: string): string {
  return /^[-+]?[\d.]+[a-zµ]/.test(given) ? argument.slice(0, argument.indexOf(".")) : argument;
}

function formatter(format: string): (event: EventMessage) => string {
  if (format === "") return showEvent;
  if (format === "json") return showJson;
  let template: Template;
  try {
    template = new Template(format.replace(/\\t/g, "\t").replace(/\\n/g, "\n"));
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new ExitStatus(64, `Error parsing format: ${thrown.message}`);
    throw thrown;
  }
  return (event) => {
    try {
      return template.execute({
        ...event,
        ID: event.id,
        Status: event.status,
        From: event.from,
        Time: event.time,
        TimeNano: event.timeNano,
      });
    } catch (thrown) {
      if (thrown instanceof TemplateError) throw new ExitStatus(1, thrown.message);
      throw thrown;
    }
  };
}

function showEvent(event: EventMessage): string {
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  const extra = attributes.length === 0 ? "" : ` (${attributes.join(", ")})`;
  return `${showTime(event)} ${event.Type} ${event.Action} ${event.Actor.ID}${extra}`;
}

function showTime(event: EventMessage): string {
  const nanoseconds = BigInt(event.timeNano || 0);
  const seconds = nanoseconds === 0n ? event.time : Number(nanoseconds / 1_000_000_000n);
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}
