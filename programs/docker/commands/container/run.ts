// docker run: create, attach, wait, start, and then the container's output until its end.
//
//     create ─▶ attach (101) ─▶ wait (its head) ─▶ start ─▶ copy ─▶ wait's body: the exit code
//                                                    └─ failed ─▶ 125, 126, 127 by the daemon's words

import type { CreateContainerRequest } from "../../../../api/engine/container.ts";
import { exitCodeOfStartFailure } from "../../../../api/engine/messages.ts";
import { messageOf } from "../../../../base/errors.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus, withHelp } from "../../failure.ts";
import { type ContainerFlags, defineContainerFlags } from "../../options/containerFlags.ts";
import { copyAttached, Detached, withRawTerminal } from "../../stream/attached.ts";
import { parseDetachKeys } from "../../stream/detach.ts";
import { proxySignals } from "../../stream/signals.ts";
import { consoleSize, followSize, requireTerminal } from "../../stream/terminal.ts";
import { attachTo, type ContainerEnd, waitForEnd } from "./attaching.ts";
import { bodyOf, createContainer, requireSupport } from "./create.ts";

export const run: Command = {
  name: "run",
  summary: "Create and run a new container from an image",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  args: [1, null],
  interspersed: false,
  define(set, runtime) {
    const flags = defineContainerFlags(set, () => runtime);
    const own = {
      detach: set.bool("detach", "d", "Run in the background and print the container's id"),
      sigProxy: set.bool("sig-proxy", "", "Send received signals to the process", true),
      detachKeys: set.string("detach-keys", "", "Keys that detach from the container"),
    };
    return (cli, args) => {
      const options = { detach: own.detach.value, sigProxy: own.sigProxy.value, detachKeys: own.detachKeys.value };
      return runContainer(cli, { flags, options, args });
    };
  },
};

interface RunRequest {
  flags: ContainerFlags;
  options: { detach: boolean; sigProxy: boolean; detachKeys: string };
  args: string[];
}

async function runContainer(cli: Cli, request: RunRequest): Promise<number> {
  const { flags, options } = request;
  await requireSupport(cli, flags);
  const body = bodyOf(cli, flags, request.args);
  prepareStreams(cli, request, body);
  let id: string;
  try {
    if (options.detachKeys !== "") parseDetachKeys(options.detachKeys);
    id = await createContainer(cli, flags, body);
  } catch (thrown) {
    throw startFailure(cli, thrown);
  }
  const attached = body.AttachStdin! || body.AttachStdout! || body.AttachStderr!;
  // With a terminal the keys arrive as they are, so there is no signal to pass on but those of the system.
  using _signals = options.sigProxy && attached && !body.Tty ? proxySignals(cli, id) : null;
  if (!attached) return startDetached(cli, id);
  return await runAttached(cli, request, { id, body });
}

function prepareStreams(cli: Cli, request: RunRequest, body: CreateContainerRequest): void {
  const { flags, options } = request;
  if (options.detach) {
    if (flags.attach.value.length > 0)
      throw new ExitStatus(1, "conflicting options: cannot specify both --attach and --detach");
    body.AttachStdin = body.AttachStdout = body.AttachStderr = false;
    body.StdinOnce = false;
  } else requireTerminal(cli, body.AttachStdin!, body.Tty!);
  body.HostConfig!.ConsoleSize = consoleSize(cli);
}

async function startDetached(cli: Cli, id: string): Promise<number> {
  try {
    await cli.engine.post(`/containers/${id}/start`);
  } catch (thrown) {
    throw startFailure(cli, thrown);
  }
  cli.out.line(id);
  return 0;
}

async function runAttached(
  cli: Cli,
  request: RunRequest,
  made: { id: string; body: CreateContainerRequest },
): Promise<number> {
  const { id, body } = made;
  const autoRemove = request.flags.autoRemove.value;
  const tty = body.Tty!;
  let end: ContainerEnd;
  const streams = {
    stdin: body.AttachStdin!,
    stdout: body.AttachStdout!,
    stderr: body.AttachStderr!,
    tty,
    detachKeys: cli.detachKeys(request.options.detachKeys),
  };
  try {
    using stream = await attachTo(cli, id, streams);
    return await withRawTerminal(cli, tty && streams.stdin, async () => {
      const copied = copyAttached(cli, { ...streams, stream });
      copied.catch(() => {});
      end = await waitForEnd(cli, id, autoRemove ? "removed" : "next-exit");
      try {
        await cli.engine.post(`/containers/${id}/start`);
      } catch (thrown) {
        stream.close();
        await copied.catch(() => {});
        if (autoRemove) await end.status().catch(() => {});
        throw startFailure(cli, thrown);
      }
      using _size = tty ? followSize(cli, "containers", id) : null;
      await copied;
      return await end.status();
    });
  } catch (thrown) {
    if (thrown instanceof Detached) return 0;
    throw thrown instanceof ExitStatus ? thrown : startFailure(cli, thrown);
  }
}

function startFailure(cli: Cli, thrown: unknown): ExitStatus {
  if (thrown instanceof ExitStatus)
    return thrown.message.startsWith("docker: ") ? thrown : withHelp(125, thrown.message, cli.path);
  const message = messageOf(thrown);
  return withHelp(exitCodeOfStartFailure(message), message, cli.path);
}
