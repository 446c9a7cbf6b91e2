// Execs: further processes in a running container. Created by one call, started by another, and looked at until their
// container goes or EXEC_MEMORY_MS have passed (the client reads the exit code after the output ended).

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { NO_SUCH } from "../../../api/engine/messages.ts";
import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import { resolveUser } from "../../../core/rootfs/users.ts";
import { rootOfProcess } from "../../../core/rootfs/walk.ts";
import { processCapabilities, resolveCapabilities } from "../../../core/spec/capabilities.ts";
import { dockerEnvironment, replaceEnvironment } from "../../../core/spec/docker.ts";
import type { Process } from "../../../core/spec/oci.ts";
import type { Engine } from "../engine.ts";
import { type FifoPaths, FifoStreams } from "../output/fifo-streams.ts";
import type { Attachment, Container, ContainerStreams } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { readSecurityOptions } from "./spec.ts";

/** How long an ended exec can be inspected, in milliseconds. */
const EXEC_MEMORY_MS = 5 * 60_000;
/** Milliseconds that output may lag behind the end of the process. */
const DRAIN_LIMIT_MS = 30_000;

export interface ExecConfig {
  User?: string;
  Privileged?: boolean;
  Tty?: boolean;
  ConsoleSize?: [number, number] | null;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  DetachKeys?: string;
  Env?: string[] | null;
  WorkingDir?: string;
  Cmd?: string[] | null;
}

export class Exec {
  readonly id = randomBytes(32).toString("hex");
  readonly container: Container;
  readonly config: ExecConfig;
  state: "created" | "running" | "ended" = "created";
  pid = 0;
  exitCode: number | null = null;
  streams: ContainerStreams | null = null;
  readonly ended: Promise<void>;
  #end = () => {};

  constructor(container: Container, config: ExecConfig) {
    this.container = container;
    this.config = config;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  finish(exitCode: number): void {
    if (this.state === "ended") return;
    this.state = "ended";
    this.exitCode = exitCode;
    this.pid = 0;
    this.#end();
  }
}

export class ExecTable {
  readonly #byId = new Map<string, Exec>();

  add(exec: Exec): void {
    this.#byId.set(exec.id, exec);
    exec.container.execs.add(exec.id);
  }

  remove(id: string): void {
    this.#byId.get(id)?.container.execs.delete(id);
    this.#byId.delete(id);
  }

  get(id: string): Exec | null {
    return this.#byId.get(id) ?? null;
  }

  find(id: string): Exec {
    const exec = this.#byId.get(id);
    if (exec === undefined) throw new Failure("not_found", NO_SUCH.exec(id));
    return exec;
  }
}

export function createExec(engine: Engine, container: Container, config: ExecConfig): Exec {
  requireRunning(container);
  const command = config.Cmd ?? [];
  if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === "string")) {
    throw new Failure("invalid_argument", "no exec command specified");
  }
  const exec = new Exec(container, config);
  engine.execs.add(exec);
  emitContainer(engine, container, `exec_create: ${command.join(" ")}`, { execID: exec.id });
  return exec;
}

function requireRunning(container: Container): void {
  const { status } = container.record.state;
  if (status === "paused") {
    throw new Failure(
      "failed_precondition",
      `Container ${container.record.name} is paused, unpause the container before exec`,
    );
  }
  if (status === "running") return;
  if (status === "restarting") {
    throw new Failure(
      "failed_precondition",
      `Container ${container.id} is restarting, wait until the container is running`,
    );
  }
  throw new Failure("failed_precondition", `container ${container.id} is not running`);
}

/** Runs it; `attachment` sees the output from its first byte. Resolves once the process runs. */
export async function startExec(engine: Engine, exec: Exec, attachment: Attachment | null): Promise<void> {
  const { container, config } = exec;
  if (exec.state === "running") throw new Failure("failed_precondition", `exec instance ${exec.id} is already running`);
  if (exec.state === "ended") {
    throw new Failure("failed_precondition", `exec command ${exec.id} has already run`);
  }
  requireRunning(container);
  exec.state = "running";
  const paths = execPaths(engine, exec, attachment);
  const { tasks } = engine.containerd;
  const at = { id: container.id, execId: exec.id };
  try {
    const process = execProcess(engine, exec);
    await engine.fifos.place([paths.stdin, paths.stdout, paths.stderr].filter((path) => path !== null));
    exec.streams = new FifoStreams(paths, null, () => tasks.closeStdin(at.id, at.execId));
    if (attachment !== null) await attachment.connect(exec.streams);
    const { stdin, stdout, stderr } = paths;
    await tasks.exec({
      ...at,
      terminal: config.Tty === true,
      stdin: stdin ?? "",
      stdout: stdout ?? "",
      stderr: stderr ?? "",
      process,
    });
    exec.pid = await tasks.start(at.id, at.execId);
  } catch (thrown) {
    exec.streams?.close();
    exec.finish(/executable file not found|no such file/.test(messageOf(thrown)) ? 127 : 126);
    engine.background(`cleaning exec ${exec.id}`, cleanUp(engine, exec));
    throw new Failure(codeOf(thrown), messageOf(thrown), { cause: thrown, facts: { status: 400 } });
  }
  emitContainer(engine, container, `exec_start: ${config.Cmd!.join(" ")}`, { execID: exec.id });
}

/** The process of an exec ended: told by containerd's event. */
export async function handleExecExit(engine: Engine, exec: Exec, exitCode: number): Promise<void> {
  await exec.streams?.drained(DRAIN_LIMIT_MS);
  exec.streams?.close();
  exec.finish(exitCode);
  emitContainer(engine, exec.container, "exec_die", { execID: exec.id, exitCode: String(exitCode) });
  await cleanUp(engine, exec);
}

async function cleanUp(engine: Engine, exec: Exec): Promise<void> {
  await engine.containerd.tasks.deleteProcess(exec.container.id, exec.id).catch((thrown) => {
    if (codeOf(thrown) !== "not_found") engine.log.debug(`deleting exec ${exec.id}: ${messageOf(thrown)}`);
  });
  const folder = join(engine.settings.execRoot, "containerd", exec.container.id);
  for (const name of ["stdin", "stdout", "stderr"]) rmSync(join(folder, `${exec.id}-${name}`), { force: true });
  setTimeout(() => engine.execs.remove(exec.id), EXEC_MEMORY_MS).unref();
}

function execPaths(engine: Engine, exec: Exec, attachment: Attachment | null): FifoPaths {
  const { container, config, id } = exec;
  const folder = join(engine.settings.execRoot, "containerd", container.id);
  const path = (name: string, wanted: boolean | undefined) => (wanted === true ? join(folder, `${id}-${name}`) : null);
  const tty = config.Tty === true;
  // Without a client to read it, output goes nowhere, as the original has it.
  const reads = attachment !== null;
  return {
    stdin: path("stdin", reads && config.AttachStdin),
    stdout: path("stdout", reads && (config.AttachStdout === true || tty)),
    stderr: path("stderr", reads && config.AttachStderr === true && !tty),
  };
}

function execProcess(engine: Engine, exec: Exec): Process {
  const { container, config } = exec;
  const { record } = container;
  const { hostConfig } = record;
  const root = rootOfProcess(record.state.pid);
  const { user } = resolveUser(root, config.User || record.config.User || "", hostConfig.GroupAdd ?? []);
  const privileged = config.Privileged === true || hostConfig.Privileged === true;
  const bounding = resolveCapabilities({
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
    privileged,
    available: engine.host.capabilities,
  });
  const tty = config.Tty === true;
  const base = dockerEnvironment(record.config.Hostname ?? "", tty, record.config.Env ?? []);
  const process: Process = {
    terminal: tty,
    user,
    args: config.Cmd!,
    env: replaceEnvironment(base, config.Env ?? []),
    cwd: config.WorkingDir || record.config.WorkingDir || "/",
    capabilities: processCapabilities(bounding, user.uid),
    noNewPrivileges: readSecurityOptions(hostConfig).noNewPrivileges ?? engine.settings.noNewPrivileges,
  };
  const size = config.ConsoleSize;
  if (tty && size && size[0] > 0) process.consoleSize = { height: size[0], width: size[1] };
  return process;
}
