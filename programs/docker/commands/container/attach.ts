// docker attach: joins the streams of a running container.

import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { copyAttached, withRawTerminal } from "../../stream/attached.ts";
import { proxySignals } from "../../stream/signals.ts";
import { followSize, requireTerminal } from "../../stream/terminal.ts";
import { attachTo, inspectContainer, waitForEnd } from "./attaching.ts";

export const attach: Command = {
  name: "attach",
  summary: "Attach local standard input, output, and error streams to a running container",
  usage: "[OPTIONS] CONTAINER",
  args: [1, 1],
  define(set) {
    const noStdin = set.bool("no-stdin", "", "Do not attach STDIN");
    const sigProxy = set.bool("sig-proxy", "", "Send received signals to the process", true);
    const detachKeys = set.string("detach-keys", "", "Keys that detach from the container");
    return async (cli, [name]) => {
      // Asked first, so that an end meanwhile is not missed; what it fails with comes after what the others say.
      const ending = waitForEnd(cli, name!, null);
      await ending.catch(() => {});
      const container = await inspectContainer(cli, name!);
      const { Running, Paused, Restarting } = container.State;
      if (!Running) throw new ExitStatus(1, "You cannot attach to a stopped container, start it first");
      if (Paused) throw new ExitStatus(1, "You cannot attach to a paused container, unpause it first");
      if (Restarting) throw new ExitStatus(1, "You cannot attach to a restarting container, wait until it is running");
      const tty = container.Config.Tty;
      const stdin = !noStdin.value && container.Config.OpenStdin;
      requireTerminal(cli, !noStdin.value, tty);
      using _signals = sigProxy.value && !tty ? proxySignals(cli, container.Id) : null;
      const streams = { stdin, stdout: true, stderr: true, tty, detachKeys: cli.detachKeys(detachKeys.value) };
      using stream = await attachTo(cli, name!, streams);
      await withRawTerminal(cli, tty && stdin, async () => {
        using _size = tty ? followSize(cli, "containers", container.Id) : null;
        await copyAttached(cli, { ...streams, stream });
      });
      return await (await ending).status();
    };
  },
};
