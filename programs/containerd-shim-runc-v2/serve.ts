// The serving shim: everything it needs is made here, once, then it waits for requests, children and bytes.
//
//     start ──fork──▶ serve ──▶ … ──▶ Shutdown (or SIGTERM) ──▶ last events and answers out ──▶ socket removed, exit 0

import { messageOf } from "../../base/errors.ts";
import type { Connection } from "../../base/runtime.ts";
import type { Door } from "../../linux/door.ts";
import { EPOLLIN } from "../../linux/epoll.ts";
import { Fd, read, unlinkIfThere } from "../../linux/fd.ts";
import { effectiveUser, setChildSubreaper, setName } from "../../linux/process.ts";
import { givingBackMemory } from "../../linux/resident.ts";
import { raiseOwnFileLimit } from "../../linux/resource.ts";
import { SIGHUP, SIGPIPE, setDisposition } from "../../linux/signal.ts";
import { listenUnix } from "../../linux/socket.ts";
import { type QuickJsRuntime, start } from "../../runtime/quickjs/runtime.ts";
import { SocketListener } from "../../runtime/quickjs/stream.ts";
import type { ServerLimits } from "../../wire/ttrpc/limits.ts";
import { TtrpcServer } from "../../wire/ttrpc/server.ts";
import { socketDirectory } from "./address.ts";
import { Publisher } from "./call/events.ts";
import type { CommandLine } from "./command-line.ts";
import type { Container } from "./container.ts";
import {
  DEFECT_LIMIT,
  DESCRIPTOR_RESERVE,
  LINGER_INTERVAL,
  REST_AFTER,
  SERVER_LIMITS,
  SHUTDOWN_INTERVAL,
  SHUTDOWN_TIMEOUT,
} from "./limits.ts";
import { Log } from "./log.ts";
import { Reaper } from "./reaper.ts";
import { SandboxService, sandboxHandlers } from "./serve/sandbox.ts";
import { TaskV2, TaskV3, taskHandlers } from "./serve/task.ts";
import type { Shim } from "./shim.ts";

export interface Inherited {
  socket: Fd;
  path: string;
  directory: string;
  ttrpcAddress: string;
  /** Fills the shim with the tasks of one that was killed, before anybody is answered. */
  takeOver: ((shim: Shim) => Promise<void>) | null;
  /** Gives a byte once the daemon was told of this process, and none if it never will be. */
  answered: Fd | null;
}

/** The descriptor that a caller passes a listening socket in, when there is no -socket. */
const GIVEN_SOCKET = 3;

/** `inherited` is null when this process was started to serve (by hand), not forked by `start`. */
export function serve(given: Door, command: CommandLine, inherited: Inherited | null): undefined {
  start(given, (runtime) => {
    const own = inherited ?? ownSocket(runtime, command);
    const log = Log.open("log", command.debug);
    given.idle = () => guardedTurn(runtime, log);
    return run(runtime, command, { ...own, log });
  });
  return undefined;
}

/** Elsewhere a defect ends the program. Here that would end the container, too, so it is said and the loop goes on;
 *  what was ready is told again. A defect without end still ends the shim. */
function guardedTurn(runtime: QuickJsRuntime, log: Log): number | undefined {
  try {
    return runtime.loop.turn();
  } catch (thrown) {
    if (++defects > DEFECT_LIMIT) throw thrown;
    log.say("error", `defect: ${messageOf(thrown)}${thrown instanceof Error ? thrown.stack : ""}`);
    return undefined;
  }
}

let defects = 0;

function ownSocket(runtime: QuickJsRuntime, command: CommandLine): Inherited {
  const path = command.socket.replace(/^unix:\/\//, "");
  const socket = path === "" ? new Fd(GIVEN_SOCKET) : listenUnix(path, 0o600);
  const ttrpcAddress = runtime.env["TTRPC_ADDRESS"] ?? "";
  return { socket, path, directory: socketDirectory(runtime.env, null), ttrpcAddress, takeOver: null, answered: null };
}

function run(runtime: QuickJsRuntime, command: CommandLine, own: Inherited & { log: Log }): Promise<number> {
  setName("containerd-shim");
  setChildSubreaper();
  // A hangup of whoever started the daemon by hand is no reason to leave containers alone.
  for (const signal of [SIGPIPE, SIGHUP]) setDisposition(signal, "ignore");
  const { log } = own;
  runtime.loop.onRest(REST_AFTER, givingBackMemory);
  const reaper = new Reaper(runtime.loop);
  const events = new Publisher(
    { runtime, reaper, log },
    {
      namespace: command.namespace,
      ttrpcAddress: own.ttrpcAddress,
      grpcAddress: command.address,
      publishBinary: command.publishBinary,
    },
  );
  const server = new TtrpcServer(runtime.clock, serverLimits());
  const listener = new SocketListener(runtime.loop, own.socket, true);
  return new Promise((resolve) => {
    let ending = false;
    const lingering = new Set<unknown>();
    const shutdown = () => {
      if (ending) return;
      ending = true;
      listener.close();
      if (own.path !== "") unlinkIfThere(own.path);
      void lastWords(runtime, events)
        .then(() => {
          server.close();
          return lastReaders(runtime, lingering);
        })
        .then(() => resolve(0));
    };
    const shim: Shim = {
      runtime,
      namespace: command.namespace,
      reaper,
      events,
      log,
      ioParts: { runtime, reaper, log, socketDirectory: own.directory, lingering },
      defaults: command.defaults,
      socket: own.path,
      containers: new Map<string, Container>(),
      sandbox: null,
      shutdown,
    };
    const tasks = taskHandlers(shim);
    server.register(TaskV2, tasks);
    server.register(TaskV3, tasks);
    server.register(SandboxService, sandboxHandlers(shim));
    for (const signal of ["SIGTERM", "SIGINT"]) runtime.onSignal(signal, shutdown);
    runtime.onSignal("SIGUSR1", () => log.say("info", stateOf(shim, events)));
    const answer = () => {
      void server.serve(listener, (connection) => {
        events.hurry();
        return isOurs(connection);
      });
    };
    if (own.answered !== null) {
      watchAnswer(runtime, own.answered, () => {
        if (shim.containers.size === 0) shutdown();
      });
    }
    if (own.takeOver === null) answer();
    else void own.takeOver(shim).then(answer, shutdown);
  });
}

/** Calls `never` if `start` was killed before it could answer. */
function watchAnswer(runtime: QuickJsRuntime, answered: Fd, never: () => void): void {
  runtime.loop.watch(answered.number, EPOLLIN, () => {
    const told = read(answered.number, new Uint8Array(1)) === 1;
    runtime.loop.unwatch(answered.number);
    answered.close();
    if (!told) never();
  });
}

/** Connections leave enough descriptors for the container: without pipes nothing could even be killed. */
function serverLimits(): ServerLimits {
  const files = raiseOwnFileLimit(SERVER_LIMITS.connections + DESCRIPTOR_RESERVE);
  const left = Math.max(files - DESCRIPTOR_RESERVE, Math.floor(files / 2));
  return { ...SERVER_LIMITS, connections: Math.min(SERVER_LIMITS.connections, left) };
}

/** For whoever asks by SIGUSR1, in the shim's log: where the original writes the stacks of its goroutines. */
function stateOf(shim: Shim, events: Publisher): string {
  const tasks = [...shim.containers.values()].map((one) => {
    const execs = [...one.execs.values()].map((exec) => `${exec.execId} ${exec.pid} ${exec.status}`);
    return `${one.id} ${one.init.pid} ${one.init.status} (${execs.join(", ")})`;
  });
  return `tasks: ${tasks.join("; ")}; events ${events.idle ? "sent" : "waiting"}`;
}

/** Only root, or who the shim itself is. */
function isOurs(connection: Connection): boolean {
  const { peer } = connection;
  return peer !== null && (peer.uid === 0 || peer.uid === effectiveUser());
}

/** The events that wait, and a moment for the answer that is on its way; bounded. */
async function lastWords(runtime: QuickJsRuntime, events: Publisher): Promise<void> {
  const deadline = runtime.clock.monotonic() + SHUTDOWN_TIMEOUT;
  do await runtime.clock.sleep(SHUTDOWN_INTERVAL);
  while (!events.idle && runtime.clock.monotonic() < deadline);
  events.close();
}

/** Clients that have not read all of the output yet: each goes by itself when it has, or when it reads no more. */
async function lastReaders(runtime: QuickJsRuntime, lingering: ReadonlySet<unknown>): Promise<void> {
  while (lingering.size > 0) await runtime.clock.sleep(LINGER_INTERVAL);
}
