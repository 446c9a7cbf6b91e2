// The commands of docker system, and the one that carries a connection over ssh.

import type { Command } from "../../command.ts";
import { dialerOf } from "../../config/endpoint.ts";
import { df, prune } from "./df.ts";
import { events } from "./events.ts";
import { info } from "./info.ts";

export const SYSTEM_COMMANDS: readonly Command[] = [df, events, info, prune];

const COPY_BYTES = 64 * 1024;

/** Joins stdin and stdout to the daemon's socket: what an ssh:// host runs at the other end. */
export const dialStdio: Command = {
  name: "dial-stdio",
  summary: "Proxy the stdio stream to the daemon connection",
  usage: "",
  args: [0, 0],
  hidden: true,
  define: () => async (cli) => {
    using daemon = await dialerOf(cli.runtime, cli.endpoint(), cli.tlsDialer)();
    const upward = async () => {
      const into = new Uint8Array(COPY_BYTES);
      for (let count = await cli.runtime.stdin.read(into); count > 0; count = await cli.runtime.stdin.read(into)) {
        await daemon.write(into.subarray(0, count));
      }
      daemon.closeWrite();
    };
    upward().catch(() => daemon.close());
    const into = new Uint8Array(COPY_BYTES);
    for (let count = await daemon.read(into); count > 0; count = await daemon.read(into)) {
      await cli.out.write(into.subarray(0, count));
    }
  },
};
