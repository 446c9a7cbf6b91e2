// `runc kill`.

import { Failure } from "../../../base/errors.ts";
import { signalContainer } from "../../../container/kill.ts";
import { loadContainer } from "../../../container/state.ts";
import { parseSignal } from "../../../linux/signal.ts";
import type { Command } from "../command.ts";

export const killCommand: Command = {
  name: "kill",
  arguments: "<container-id> [signal]",
  summary: "kill sends the specified signal (default: SIGTERM) to the container's init process",
  run(line, { root, log }) {
    const all = line.flags.bool("all", "a", "send the specified signal to all processes inside the container");
    const [id, given = ""] = line.parse(1, 2);
    const word = given === "" ? "SIGTERM" : given;
    const container = loadContainer(root, id!);
    // 0 is no signal: it only asks whether there is somebody to have one.
    const signal = word === "0" ? 0 : parseSignal(word);
    if (signal === null) throw new Failure("invalid_argument", `unknown signal ${JSON.stringify(word)}`);
    signalContainer(container, { signal, all: all.value, warn: (message) => log.warn(message) });
    return 0;
  },
};
