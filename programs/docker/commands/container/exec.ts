// docker exec: a further process in a running container.

import type { ExecCreateRequest, ExecInspect } from "../../../../api/engine/container.ts";
import { MULTIPLEXED_TYPE } from "../../../../api/engine/frames.ts";
import { listOf } from "../../../../base/flags/values.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { environmentCheck, readKeyFile } from "../../options/values.ts";
import { pathSegment } from "../../reference.ts";
import { copyAttached, withRawTerminal } from "../../stream/attached.ts";
import { consoleSize, followSize, requireTerminal } from "../../stream/terminal.ts";
import { inspectContainer } from "./attaching.ts";

export const exec: Command = {
  name: "exec",
  summary: "Execute a command in a running container",
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  args: [2, null],
  interspersed: false,
  define(set, runtime) {
    const detach = set.bool("detach", "d", "Run in the background");
    const interactive = set.bool("interactive", "i", "Keep STDIN open even if not attached");
    const tty = set.bool("tty", "t", "Allocate a pseudo-terminal");
    const envKind = listOf(environmentCheck(() => runtime));
    const env = set.add(envKind, ["env", "e"], { usage: "Set environment variables", initial: [] });
    const envFile = set.list("env-file", "", "Read environment variables from a file");
    const user = set.string("user", "u", "User name or id (<name|uid>[:<group|gid>])");
    const workdir = set.string("workdir", "w", "Working directory inside the container");
    const privileged = set.bool("privileged", "", "Give extended privileges to the command");
    const detachKeys = set.string("detach-keys", "", "Keys that detach from the container");
    return async (cli, [name, ...command]) => {
      const fileEntries = envFile.value.flatMap((path) => readKeyFile(runtime, path, (key) => runtime.env[key]));
      const variables = [...fileEntries, ...env.value];
      const attached = !detach.value;
      const size = consoleSize(cli);
      const request: ExecCreateRequest = {
        User: user.value,
        Privileged: privileged.value,
        Tty: tty.value,
        ...(tty.value && size[0] > 0 ? { ConsoleSize: size } : {}),
        AttachStdin: attached && interactive.value,
        AttachStderr: attached,
        AttachStdout: attached,
        Detach: detach.value,
        DetachKeys: cli.detachKeys(detachKeys.value),
        Env: variables.length === 0 ? null : variables,
        WorkingDir: workdir.value,
        Cmd: command,
      };
      await inspectContainer(cli, name!);
      if (attached) requireTerminal(cli, request.AttachStdin, request.Tty);
      const { Id } = await cli.engine.post<{ Id: string }>(`/containers/${pathSegment(name!)}/exec`, { json: request });
      if (!Id) throw new ExitStatus(1, "exec ID empty");
      if (attached) return runExec(cli, Id, request);
      await cli.engine.post(`/exec/${Id}/start`, { json: { Detach: true, Tty: request.Tty } });
      return 0;
    };
  },
};

async function runExec(cli: Cli, id: string, request: ExecCreateRequest): Promise<number> {
  const start = {
    Detach: false,
    Tty: request.Tty,
    ...(request.ConsoleSize ? { ConsoleSize: request.ConsoleSize } : {}),
  };
  const response = await cli.engine.upgrade(`/exec/${id}/start`, { json: start });
  using stream = response.stream;
  const tty = request.Tty && response.headers.get("content-type") !== MULTIPLEXED_TYPE;
  await withRawTerminal(cli, tty && request.AttachStdin, async () => {
    using _size = tty && cli.runtime.terminal.isTerminal(0) ? followSize(cli, "exec", id) : null;
    const { AttachStdin: stdin, DetachKeys: detachKeys } = request;
    await copyAttached(cli, { stream, stdin, stdout: true, stderr: true, tty, detachKeys });
  });
  const ended = await cli.engine.get<ExecInspect>(`/exec/${id}/json`);
  return ended.ExitCode ?? 0;
}
