// docker start: several containers in the background, or one with its streams attached.

import { messageOf } from "../../../../base/errors.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { pathSegment } from "../../reference.ts";
import { copyAttached, Detached, withRawTerminal } from "../../stream/attached.ts";
import { proxySignals } from "../../stream/signals.ts";
import { followSize } from "../../stream/terminal.ts";
import { attachTo, inspectContainer, waitForEnd } from "./attaching.ts";

export const start: Command = {
  name: "start",
  summary: "Start one or more stopped containers",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  args: [1, null],
  define(set) {
    const attach = set.bool("attach", "a", "Attach STDOUT and STDERR and send signals on");
    const interactive = set.bool("interactive", "i", "Attach STDIN");
    const detachKeys = set.string("detach-keys", "", "Keys that detach from the container");
    const checkpoint = set.string("checkpoint", "", "Restore from this checkpoint");
    const directory = set.string("checkpoint-dir", "", "Where checkpoints are");
    return async (cli, names) => {
      const query = { checkpoint: checkpoint.value || null, "checkpoint-dir": directory.value || null };
      if (attach.value || interactive.value) {
        if (names.length > 1) throw new ExitStatus(1, "you cannot start and attach multiple containers at once");
        return startAttached(cli, names[0]!, { stdin: interactive.value, keys: detachKeys.value });
      }
      await startAll(cli, names, query);
      return 0;
    };
  },
};

async function startAll(cli: Cli, names: readonly string[], query: Record<string, string | null>): Promise<void> {
  const failed: string[] = [];
  for (const name of names) {
    try {
      await cli.engine.post(`/containers/${pathSegment(name)}/start`, { query });
      cli.out.line(name);
    } catch (thrown) {
      cli.err.line(messageOf(thrown));
      failed.push(name);
    }
  }
  if (failed.length > 0) throw new ExitStatus(1, `Error: failed to start containers: ${failed.join(", ")}`);
}

async function startAttached(cli: Cli, name: string, wanted: { stdin: boolean; keys: string }): Promise<number> {
  const container = await inspectContainer(cli, name);
  const tty = container.Config.Tty;
  using _signals = tty ? null : proxySignals(cli, container.Id);
  const stdin = wanted.stdin && container.Config.OpenStdin;
  const streams = { stdin, stdout: true, stderr: true, tty, detachKeys: cli.detachKeys(wanted.keys) };
  using stream = await attachTo(cli, container.Id, streams);
  try {
    return await withRawTerminal(cli, tty && stdin, async () => {
      const copied = copyAttached(cli, { ...streams, stream });
      copied.catch(() => {});
      const end = await waitForEnd(cli, container.Id, container.HostConfig.AutoRemove ? "removed" : "next-exit");
      await cli.engine.post(`/containers/${container.Id}/start`);
      using _size = tty ? followSize(cli, "containers", container.Id) : null;
      await copied;
      return await end.status();
    });
  } catch (thrown) {
    if (thrown instanceof Detached) return 0;
    throw thrown;
  }
}
