// docker logs: what a container has said, and with --follow what it goes on saying.

import { FrameDecoder } from "../../../../api/engine/frames.ts";
import type { Command } from "../../command.ts";
import { pathSegment } from "../../reference.ts";
import { writeFrames } from "../../stream/attached.ts";
import { timeArgument } from "../time.ts";
import { inspectContainer } from "./attaching.ts";

export const logs: Command = {
  name: "logs",
  summary: "Fetch the logs of a container",
  usage: "[OPTIONS] CONTAINER",
  args: [1, 1],
  define(set) {
    const follow = set.bool("follow", "f", "Go on with new output");
    const since = set.string(
      "since",
      "",
      "Only what was said after this time (a timestamp, or 42m for 42 minutes ago)",
    );
    const until = set.string("until", "", "Only what was said before this time");
    const timestamps = set.bool("timestamps", "t", "Show timestamps");
    const details = set.bool("details", "", "Show what the logging options add");
    const tail = set.string("tail", "n", "Lines from the end", "all");
    return async (cli, [name]) => {
      const container = await inspectContainer(cli, name!);
      const now = cli.runtime.clock.now();
      const on = (wanted: boolean) => (wanted ? 1 : null);
      const response = await cli.engine.open("GET", `/containers/${pathSegment(container.Id)}/logs`, {
        query: {
          details: on(details.value),
          follow: on(follow.value),
          since: since.value === "" ? null : timeArgument(since.value, now, "since"),
          stderr: 1,
          stdout: 1,
          tail: tail.value,
          timestamps: on(timestamps.value),
          until: until.value === "" ? null : timeArgument(until.value, now, "until"),
        },
      });
      const decoder = new FrameDecoder();
      for (let piece = await response.body.read(); piece !== null; piece = await response.body.read()) {
        if (container.Config.Tty) await cli.out.write(piece);
        else await writeFrames(cli, decoder, piece);
      }
    };
  },
};
