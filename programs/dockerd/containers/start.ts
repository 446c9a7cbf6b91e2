// Starting a container: network, document, task, whoever waits to be attached, and then its process. Everything that
// fails on the way is taken back, and the runtime's own words go to the client.
//
//   attach network ─┐
//   mounts ─────────┼─▶ document ─▶ Tasks.Create ─▶ attachments connect ─▶ Tasks.Start ─▶ running
//   FIFOs or URI ───┘

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { STDIO_ANNOTATION } from "../../../api/task/extensions.ts";
import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import type { Mount } from "../../../core/values.ts";
import { changeState, type Engine, saveRunning } from "../engine.ts";
import { type FifoPaths, FifoStreams, takeLeftovers } from "../output/fifo-streams.ts";
import { ShimStreams, shimStdio } from "../output/shim-streams.ts";
import { notModified } from "../serve/engine/errors.ts";
import type { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { endTask } from "./end-task.ts";
import { startHealth } from "./health.ts";
import { writeHostFiles } from "./hostfiles.ts";
import { lookUpUser, rememberedUser } from "./identity.ts";
import { logOf, openLogWriter, watchRotation } from "./logging.ts";
import { checkSources } from "./mounts.ts";
import { nowText } from "./record.ts";
import { removeContainer } from "./remove.ts";
import { specText } from "./spec.ts";
import { runtimeOf, storeSpec } from "./stored.ts";

/** Exit codes of a process that never ran. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const NOT_STARTED = 128;

/** The start a client asked for. */
export async function startContainer(engine: Engine, container: Container): Promise<void> {
  await container.exclusive(async () => {
    const { status } = container.record.state;
    if (status === "paused") {
      throw new Failure("failed_precondition", "cannot start a paused container, try unpause instead");
    }
    if (status === "running") throw notModified("container is already running");
    if (container.removing || status === "dead") {
      throw new Failure("failed_precondition", "container is marked for removal and cannot be started");
    }
    container.restartTimer?.[Symbol.dispose]();
    container.restartTimer = null;
    changeState(container, { manuallyStopped: false, restartCount: 0 });
    container.restartDelay = 0;
    await runContainer(engine, container);
  });
  engine.log.debug(`started ${container.id}`);
}

/** Under the container's lock. On failure the container is as before, with its error recorded. */
export async function runContainer(engine: Engine, container: Container): Promise<void> {
  const undo: (() => Promise<unknown>)[] = [];
  try {
    await bringUp(engine, container, undo);
  } catch (thrown) {
    for (const step of undo.toReversed()) {
      await step().catch((cause) => engine.log.warn(`undoing a start of ${container.id}: ${messageOf(cause)}`));
    }
    await recordFailure(engine, container, thrown);
    throw thrown;
  }
}

async function bringUp(engine: Engine, container: Container, undo: (() => Promise<unknown>)[]): Promise<void> {
  const { id } = container;
  checkSources(container.record.mounts);
  const mounting =
    container.freshMounts === null
      ? engine.containerd.snapshots.mounts(id)
      : Promise.resolve([...container.freshMounts]);
  mounting.catch(() => {});
  await connectNetwork(engine, container, undo);
  if (container.record.state.everStarted || container.record.endpoint !== null)
    writeHostFiles(engine, container.record);
  const mounts = await mounting;
  const user = rememberedUser(container.record) ?? lookUpUser(container.record, mounts);
  await storeSpec(engine, container, specText(engine, container.record, user));
  const stdio = await openStreams(engine, container);
  watchRotation(engine, container);
  undo.push(async () => {
    container.streams?.close();
    container.streams = null;
    container.compressor?.unwatch();
    for (const attachment of [...container.pending]) attachment.abandon();
  });
  const pid = await createTask(engine, container, { mounts, ...stdio });
  if (container.streams instanceof ShimStreams) container.streams.hold();
  undo.push(() => endTask(engine, id));
  await Promise.all([...container.pending].map((attachment) => attachment.connect(container.streams!)));
  container.pending.clear();
  await startTask(engine, container);
  changeState(container, {
    status: "running",
    pid,
    exitCode: 0,
    error: "",
    oomKilled: false,
    startedAt: nowText(),
    everStarted: true,
  });
  container.stopping = false;
  // Nobody waits for this row: the state of a process that runs is asked from containerd after a crash.
  engine.background(`saving ${id}`, saveRunning(engine, container));
  emitContainer(engine, container, "start");
  startHealth(engine, container);
}

async function connectNetwork(engine: Engine, container: Container, undo: (() => Promise<unknown>)[]): Promise<void> {
  if (engine.networks.mode(container.record.hostConfig).kind !== "bridge") return;
  const wanted = container.record.networks["bridge"]?.IPAMConfig?.IPv4Address ?? "";
  const endpoint = await engine.networks.attach(container, wanted);
  container.record = { ...container.record, endpoint };
  undo.push(() => releaseNetwork(engine, container));
}

export async function releaseNetwork(engine: Engine, container: Container): Promise<void> {
  if (container.record.endpoint === null) return;
  container.record = { ...container.record, endpoint: null };
  await engine.networks.detach(container.id);
}

interface Stdio {
  stdin: string;
  stdout: string;
  stderr: string;
}

async function openStreams(engine: Engine, container: Container): Promise<Stdio> {
  const { record } = container;
  const stdin = record.config.OpenStdin === true;
  const log = logOf(engine, record);
  if (log !== null && (await formatsOfShim(engine, container)).includes(log.settings.driver)) {
    const attachPath = attachSocketPath(engine, record.id);
    mkdirSync(join(engine.settings.execRoot, "attach"), { recursive: true, mode: 0o700 });
    container.record = { ...record, output: "shim" };
    container.streams = shimStreams(engine, container);
    return shimStdio(log, { attachPath, stdin });
  }
  const paths = fifoPaths(engine, container);
  await engine.fifos.place([paths.stdin, paths.stdout, paths.stderr].filter((path) => path !== null));
  container.record = { ...record, output: "fifo" };
  container.streams = openFifoStreams(engine, container);
  return { stdin: paths.stdin ?? "", stdout: paths.stdout ?? "", stderr: paths.stderr ?? "" };
}

export function attachSocketPath(engine: Engine, id: string): string {
  return join(engine.settings.execRoot, "attach", `${id.slice(0, 32)}.sock`);
}

export function shimStreams(engine: Engine, { record: { id, config } }: Container): ShimStreams {
  const bundle = engine.bundles === null ? null : join(engine.bundles, id);
  return new ShimStreams({ socketPath: attachSocketPath(engine, id), hasStdin: config.OpenStdin === true, bundle });
}

function fifoPaths(engine: Engine, container: Container): FifoPaths {
  const { id, config } = container.record;
  const folder = join(engine.settings.execRoot, "containerd", id);
  return {
    stdin: config.OpenStdin === true ? join(folder, `${id}-stdin`) : null,
    stdout: join(folder, `${id}-stdout`),
    stderr: config.Tty === true ? null : join(folder, `${id}-stderr`),
  };
}

/** For a container whose process ended while dockerd was away. */
export function logLeftovers(engine: Engine, container: Container): void {
  const { record } = container;
  takeLeftovers(fifoPaths(engine, container), openLogWriter(engine, record));
}

/** Also used after a restart of dockerd: what lies in the FIFOs then is read on. */
export function openFifoStreams(engine: Engine, container: Container): FifoStreams {
  const { record } = container;
  const log = openLogWriter(engine, record);
  return new FifoStreams(fifoPaths(engine, container), log, () => engine.containerd.tasks.closeStdin(record.id, ""));
}

/** Asked once for each runtime and connection: containerd starts the shim to find out. */
const shimModes = new WeakMap<object, Map<string, Promise<readonly string[]>>>();

/** The formats in which the container's shim writes logs itself. */
function formatsOfShim(engine: Engine, container: Container): Promise<readonly string[]> {
  const { containerd } = engine;
  let known = shimModes.get(containerd);
  if (known === undefined) shimModes.set(containerd, (known = new Map()));
  const { name, options } = runtimeOf(engine, container);
  const runtime = container.record.hostConfig.Runtime ?? "";
  const key = `${name} ${runtime}`;
  let answer = known.get(key);
  if (answer === undefined) {
    answer = containerd.runtimeAnnotations(name, options).then(
      (annotations) => (annotations[STDIO_ANNOTATION] ?? "").split(","),
      (thrown) => {
        engine.log.debug(`asking the shim of ${key}: ${messageOf(thrown)}`);
        return [];
      },
    );
    known.set(key, answer);
  }
  return answer;
}

const CREATE_WORDS = "failed to create task for container: ";

async function createTask(
  engine: Engine,
  container: Container,
  of: Stdio & { mounts: readonly Mount[] },
): Promise<number> {
  const { tasks } = engine.containerd;
  const request = {
    id: container.id,
    rootfs: of.mounts,
    terminal: container.record.config.Tty === true,
    stdin: of.stdin,
    stdout: of.stdout,
    stderr: of.stderr,
  };
  try {
    return await tasks.create(request);
  } catch (thrown) {
    if (codeOf(thrown) !== "already_exists") throw withWords(thrown, CREATE_WORDS);
    // A task that an earlier daemon left stopped.
    await tasks.delete(container.id).catch(() => {});
    return await tasks.create(request).catch((again) => {
      throw withWords(again, CREATE_WORDS);
    });
  }
}

async function startTask(engine: Engine, container: Container): Promise<void> {
  try {
    await engine.containerd.tasks.start(container.id, "");
  } catch (thrown) {
    throw withWords(thrown, "failed to start task for container: ");
  }
}

/** Docker reports these as its own failure (500), or as a bad request where the command is at fault. */
function withWords(thrown: unknown, words: string): Failure {
  const message = `${words}${messageOf(thrown)}`;
  if (codeOf(thrown) === "unavailable") return new Failure("unavailable", message, { cause: thrown });
  const status = exitCodeOf(message) === NOT_STARTED ? 500 : 400;
  return new Failure("unknown", message, { cause: thrown, facts: { status } });
}

function exitCodeOf(message: string): number {
  const missing = ["executable file not found", "no such file or directory", "system cannot find the file specified"];
  if (missing.some((words) => message.includes(words))) return NOT_FOUND;
  const denied = ["permission denied", "not a directory", "is a directory", "exec format error"];
  return denied.some((words) => message.includes(words)) ? NOT_EXECUTABLE : NOT_STARTED;
}

async function recordFailure(engine: Engine, container: Container, thrown: unknown): Promise<void> {
  const message = messageOf(thrown);
  const { status } = container.record.state;
  changeState(container, {
    status: status === "restarting" ? "exited" : status,
    exitCode: exitCodeOf(message),
    error: message,
    pid: 0,
    finishedAt: status === "created" ? container.record.state.finishedAt : nowText(),
  });
  await saveRunning(engine, container);
  if (container.record.hostConfig.AutoRemove !== true) return;
  engine.background(
    `removing ${container.id}`,
    removeContainer(engine, container, { force: true, volumes: true, locked: false }),
  );
}
