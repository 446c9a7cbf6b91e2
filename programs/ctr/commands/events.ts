// ctr events: what happens in all namespaces, a line each, until it is interrupted.

import type { Envelope } from "../../../core/events/events.ts";
import type { Command } from "../cli/command.ts";
import { escapeHtml, goTime } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";

export const EVENTS: Command = {
  names: ["events", "event"],
  usage: "display containerd events",
  async action(call) {
    const { nouns } = await call.session();
    const { eventJson } = await import("../call/any-json.ts");
    const stop = new AbortController();
    for await (const envelope of nouns.events.subscribe(call.args, stop.signal)) {
      const { timestamp, namespace, topic } = envelope;
      const time = goTime(timestamp).replace("T", " ").replace("Z", " +0000 UTC");
      print(`${time} ${namespace} ${topic} ${shown(envelope, eventJson)}\n`);
    }
  },
};

function shown({ event, topic }: Envelope, decode: (event: NonNullable<Envelope["event"]>) => unknown): string {
  if (event === null) return "";
  const json = decode(event);
  if (json !== null) return escapeHtml(JSON.stringify(json));
  log("warning", `cannot unmarshal an event of ${topic} from Any`, `type with url ${event.typeUrl}: not found`);
  return "";
}
