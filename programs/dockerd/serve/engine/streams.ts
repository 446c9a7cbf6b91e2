// Routes that take the connection over or keep it open: attach, logs, exec.

import { encodeFrame } from "../../../../api/engine/frames.ts";
import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure, messageOf } from "../../../../base/errors.ts";
import type { Container } from "../../containers/container.ts";
import { emitContainer } from "../../containers/emit.ts";
import { createExec, type Exec, type ExecConfig, startExec } from "../../containers/exec.ts";
import { logSourceOf } from "../../containers/logging.ts";
import type { Engine } from "../../engine.ts";
import { readLog } from "../../output/logread.ts";
import { ClientAttachment, streamType } from "./attach.ts";
import { sizeOf } from "./containers.ts";
import { parseDetachKeys } from "./detach.ts";
import type { Exchange } from "./exchange.ts";
import { logOptions, renderEntry, sendLogs } from "./logs.ts";
import type { Router } from "./router.ts";

export function addStreamRoutes(router: Router, engine: Engine): void {
  router.add("POST /containers/{id}/attach", (exchange) => attach(engine, exchange));
  router.add("GET /containers/{id}/logs", (exchange) => {
    const container = engine.containers.find(exchange.param("id"));
    return sendLogs(engine, { container, exchange, options: logOptions(exchange) });
  });
  router.add("POST /containers/{id}/exec", async (exchange) => {
    const container = engine.containers.find(exchange.param("id"));
    const exec = createExec(engine, container, await exchange.body<ExecConfig>());
    await exchange.json(201, { Id: exec.id });
  });
  router.add("POST /exec/{id}/start", (exchange) => execStart(engine, exchange));
  router.add("POST /exec/{id}/resize", async (exchange) => {
    const exec = engine.execs.find(exchange.param("id"));
    if (exec.state !== "running") {
      throw new Failure("failed_precondition", `exec ${exec.id} is not running`);
    }
    await engine.containerd.tasks.resize(exec.container.id, exec.id, sizeOf(exchange));
    await exchange.empty(200);
  });
  router.add("GET /exec/{id}/json", (exchange) =>
    exchange.json(200, inspectExec(engine.execs.find(exchange.param("id")))),
  );
}

async function attach(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const { status } = container.record.state;
  if (status === "paused") {
    throw new Failure(
      "failed_precondition",
      `container ${container.id} is paused, unpause the container before attach`,
    );
  }
  if (status === "restarting") {
    throw new Failure(
      "failed_precondition",
      `container ${container.id} is restarting, wait until the container is running`,
    );
  }
  parseDetachKeys(exchange.text("detachKeys"));
  const { config } = container.record;
  const tty = config.Tty === true;
  const client = new ClientAttachment({
    stdin: exchange.flag("stdin") && config.OpenStdin === true,
    stdout: exchange.flag("stdout"),
    stderr: exchange.flag("stderr"),
    tty,
    closeStdinAtEnd: config.StdinOnce === true && !tty,
    endWithStdin: true,
    detachKeys: exchange.text("detachKeys"),
    spillDirectory: engine.settings.execRoot,
  });
  const stream = await exchange.hijack(streamType(exchange, tty));
  if (exchange.flag("logs")) await replay(engine, container, client);
  if (exchange.flag("stream") || !exchange.flag("logs")) await join(engine, container, client);
  else client.abandon();
  emitContainer(engine, container, "attach");
  await client.serve(stream, () => emitContainer(engine, container, "detach"));
  container.pending.delete(client);
}

/** To what runs now, or to the next start. */
async function join(engine: Engine, container: Container, client: ClientAttachment): Promise<void> {
  if (container.streams !== null && container.running) {
    await client.connect(container.streams).catch((thrown) => {
      engine.log.warn(`attaching to ${container.id}: ${messageOf(thrown)}`);
      client.abandon();
    });
  } else container.pending.add(client);
}

async function replay(engine: Engine, container: Container, client: ClientAttachment): Promise<void> {
  const log = logSourceOf(engine, container.record);
  if (log === null) return;
  const never = new Promise<void>(() => {});
  const options = {
    tail: null,
    since: null,
    follow: false,
    ended: never,
    cancelled: { aborted: false, onabort: null },
  };
  for await (const entry of readLog(log, options)) {
    const type = entry.stream === "stdout" ? 1 : 2;
    if (type === 1 ? client.stdout : client.stderr) client.preface(type, renderEntry(entry, PLAIN));
  }
}

const PLAIN = { timestamps: false, details: false };

async function execStart(engine: Engine, exchange: Exchange): Promise<void> {
  const exec = engine.execs.find(exchange.param("id"));
  const body = await exchange.body<{ Detach?: boolean; Tty?: boolean; ConsoleSize?: [number, number] | null }>({
    optional: true,
  });
  const { config } = exec;
  if (body.ConsoleSize && config.ConsoleSize === undefined) config.ConsoleSize = body.ConsoleSize;
  if (body.Detach === true) {
    await startExec(engine, exec, null);
    return exchange.empty(200);
  }
  checkStartable(exec);
  const tty = config.Tty === true;
  const client = new ClientAttachment({
    stdin: config.AttachStdin === true,
    stdout: config.AttachStdout === true || tty,
    stderr: config.AttachStderr === true && !tty,
    tty,
    closeStdinAtEnd: !tty,
    endWithStdin: false,
    detachKeys: config.DetachKeys ?? "",
    spillDirectory: engine.settings.execRoot,
  });
  const stream = await exchange.hijack(streamType(exchange, tty));
  try {
    await startExec(engine, exec, client);
  } catch (thrown) {
    // The status is gone already: the reason goes where the process's own complaints would.
    const text = encodeUtf8(`${messageOf(thrown)}\r\n`);
    await stream.write(tty ? text : encodeFrame("stderr", text)).catch(() => {});
    stream.closeWrite();
    client.abandon();
    setTimeout(() => stream.close(), 2000).unref();
    return;
  }
  const detached = () => emitContainer(engine, exec.container, "exec_detach", { execID: exec.id });
  await client.serve(stream, detached, exec.ended);
}

function checkStartable(exec: Exec): void {
  if (exec.state === "running") throw new Failure("failed_precondition", `exec instance ${exec.id} is already running`);
  if (exec.state === "ended") throw new Failure("failed_precondition", `exec command ${exec.id} has already run`);
  const { status } = exec.container.record.state;
  if (status === "running") return;
  const words = status === "paused" ? "is paused" : "is not running";
  throw new Failure("failed_precondition", `container ${exec.container.id} ${words}`);
}

function inspectExec(exec: Exec): object {
  const { config, container } = exec;
  const [entrypoint = "", ...args] = config.Cmd ?? [];
  return {
    ID: exec.id,
    Running: exec.state === "running",
    ExitCode: exec.exitCode,
    ProcessConfig: {
      tty: config.Tty === true,
      entrypoint,
      arguments: args,
      privileged: config.Privileged === true,
      ...(config.User ? { user: config.User } : {}),
    },
    OpenStdin: config.AttachStdin === true,
    OpenStderr: config.AttachStderr === true,
    OpenStdout: config.AttachStdout === true,
    CanRemove: false,
    ContainerID: container.id,
    DetachKeys: config.DetachKeys ?? "",
    Pid: exec.pid,
  };
}
