// `adopt`: the shim of this bundle's task or sandbox was killed (or its program replaced), and the daemon asks for
// another one. As `start`: makes the socket of the same name, forks the process that serves it, answers with its
// address. That process takes over the sandbox and every task of the killed shim that it can, by their records in their
// bundles.
//
//     exit 0  taken over; also when another shim has done it already (a pod is asked for once for each of its tasks)
//     exit 1  it went wrong: another attempt may succeed
//     exit 3  cannot be taken over, with the reason on stderr: the daemon cleans up with `delete`
//
// TASK_PIDFD names a descriptor by which the daemon holds the first process: then its end is known even if it came when
// no shim was there.

import { EXIT_NOT_ADOPTABLE } from "../../api/task/extensions.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { type Door, door } from "../../linux/door.ts";
import { environment } from "../../linux/environment.ts";
import * as fd from "../../linux/fd.ts";
import { isRunning, processLife } from "../../linux/pidfd.ts";
import { fork, pause } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import { addressIn, claimSocket } from "./address.ts";
import { groupOfProcess } from "./cgroup/group.ts";
import type { CommandLine } from "./command-line.ts";
import { Container } from "./container.ts";
import { ADDRESS_LIMIT, LEFTOVER_INTERVAL, LEFTOVER_TIMEOUT, RECORD_LIMIT } from "./limits.ts";
import { heldEnd } from "./pidwatch.ts";
import type { Ended } from "./reaper.ts";
import { readExecRecords, type TaskRecord } from "./record.ts";
import { recordsIn } from "./records.ts";
import { Sandbox } from "./sandbox.ts";
import { serve } from "./serve.ts";
import type { Shim } from "./shim.ts";
import { answerOf, detach, oomScore, parseBootstrap, readInput } from "./start.ts";

const DT_DIR = 4;

export function adoptTask(given: Door, command: CommandLine): number | undefined {
  const env = environment();
  const bootstrap = parseBootstrap(readInput(), command);
  const bundle = fd.workingDirectory();
  let path: string;
  try {
    path = adoptable(bundle, command);
  } catch (thrown) {
    return refuse(given, thrown);
  }
  const known = heldEnd(env);
  const directory = path.slice(0, path.lastIndexOf("/"));
  const answer = answerOf(bootstrap !== null, env, `unix://${path}`);
  const socket = claimLeft(bundle, directory, path);
  if (socket !== null) {
    const ttrpcAddress = bootstrap?.containerdTtrpcAddress || (env["TTRPC_ADDRESS"] ?? "");
    const address = bootstrap?.containerdGrpcAddress || command.address;
    const score = oomScore();
    const ready = fd.pipe();
    if (fork() === 0) {
      ready.read.close();
      detach(given, score, [socket.number, ready.write.number]);
      const takeOver = (shim: Shim) => adoptAll(shim, { bundle, path, known, ready: ready.write });
      const own = { socket, path, directory, ttrpcAddress, takeOver, answered: null };
      return serve(given, { ...command, address }, own);
    }
    ready.write.close();
    const reason = door().decode(fd.readAll(ready.read.number, RECORD_LIMIT));
    if (reason === "") throw new Error("the shim that was to take over was killed");
    if (reason !== "ready") return refuse(given, new Failure("unknown", reason));
  }
  fd.writeAll(1, answer);
  return 0;
}

/** As claimSocket, from a shim that was killed: a child that it was about to start is a copy of it until it has closed
 *  what it does not need, and for that moment the socket seems to be served. Null when another shim has taken over. */
function claimLeft(bundle: string, directory: string, path: string): fd.Fd | null {
  for (let waited = 0; ; waited += LEFTOVER_INTERVAL) {
    const socket = claimSocket(directory, path);
    if (socket !== null || waited >= LEFTOVER_TIMEOUT || isShimAlive(bundle)) return socket;
    pause(LEFTOVER_INTERVAL);
  }
}

/** The one that wrote the bundle's records last. */
function isShimAlive(bundle: string): boolean {
  const { task, sandbox } = recordsIn(bundle);
  return [task?.holder.shim, sandbox?.record.shim].some((pid) => {
    const life = processLife(pid ?? 0);
    return life !== null && life.letter !== "Z" && life.letter !== "X";
  });
}

function refuse(given: Door, thrown: unknown): number {
  fd.writeAll(2, given.encode(`the task cannot be taken over: ${messageOf(thrown)}\n`));
  return EXIT_NOT_ADOPTABLE;
}

/** The path of the socket. Throws what is in the way. */
function adoptable(bundle: string, command: CommandLine): string {
  const { task, sandbox } = recordsIn(bundle);
  for (const record of [task, sandbox?.record]) {
    if (record == null) continue;
    if (record.id !== command.id || record.namespace !== command.namespace) {
      throw new Failure("failed_precondition", "the record is of another task");
    }
  }
  if (task !== null) refuseTerminal(task);
  const path = addressIn(bundle);
  if (path === null) throw new Failure("failed_precondition", "the bundle names no socket");
  return path;
}

/** The other side of a terminal went with the shim: nobody can read what its processes write any more. */
function refuseTerminal(record: TaskRecord): void {
  if (record.stdio.terminal) throw new Failure("failed_precondition", "it has a terminal, which went with its shim");
}

interface TakeOver {
  bundle: string;
  path: string;
  known: Ended | null;
  /** Owned: told "ready", or why not. */
  ready: fd.Fd;
}

/** In the serving process, before it answers anybody. Throws when what was asked for cannot be taken over. */
async function adoptAll(shim: Shim, how: TakeOver): Promise<void> {
  using ready = how.ready;
  try {
    await adoptBundle(shim, how.bundle, how.known);
  } catch (thrown) {
    fd.writeAll(ready.number, door().encode(messageOf(thrown)));
    throw thrown;
  }
  for (const sibling of siblings(how)) {
    await adoptBundle(shim, sibling, null).catch((thrown) => {
      shim.log.say("warning", `${sibling} is not taken over: ${messageOf(thrown)}`);
    });
  }
  fd.writeAll(ready.number, door().encode("ready"));
}

/** The other bundles whose tasks, or whose sandbox, the killed shim served. */
function siblings({ bundle, path }: TakeOver): string[] {
  const parent = bundle.slice(0, bundle.lastIndexOf("/"));
  return fd
    .listDirectory(parent)
    .filter((entry) => entry.kind === DT_DIR || entry.kind === 0)
    .map((entry) => `${parent}/${entry.name}`)
    .filter((other) => other !== bundle && addressIn(other) === path);
}

/** An exec whose client was never told of it: the shim was killed between its runtime's end and its record. */
function killStray(bundle: string, execId: string, init: TaskRecord): void {
  const pid = Number(fd.readTextIfThere(`${bundle}/${execId}.pid`, ADDRESS_LIMIT) ?? "");
  if (Number.isInteger(pid) && pid > 1 && isRunning(init) && isInside(pid, init)) kill(pid, SIGKILL);
}

/** The number may be another process's by now: one of this container has its mounts and its control groups. */
function isInside(pid: number, init: TaskRecord): boolean {
  try {
    const mounts = (process: number | "self") => fd.readLink(`/proc/${process}/ns/mnt`);
    if (mounts(pid) !== mounts(init.pid) || mounts(pid) === mounts("self")) return false;
  } catch {
    return false;
  }
  const { directories } = groupOfProcess(pid);
  return [...directories].every(([name, path]) => init.group.directories.get(name) === path);
}

async function adoptBundle(shim: Shim, bundle: string, known: Ended | null): Promise<void> {
  const { task, sandbox } = recordsIn(bundle);
  if (sandbox !== null) {
    const { id } = sandbox.record;
    if (shim.sandbox !== null) throw new Failure("already_exists", `sandbox ${shim.sandbox.id}`);
    shim.sandbox = Sandbox.adopt(shim, bundle, { ...sandbox, known: task === null ? known : null });
    shim.log.say("info", `sandbox ${id}: taken over from a shim that was killed`);
  }
  if (task !== null) await adoptOne(shim, { bundle, record: task, known });
}

async function adoptOne(shim: Shim, task: { bundle: string; record: TaskRecord; known: Ended | null }): Promise<void> {
  const { bundle, record, known } = task;
  refuseTerminal(record);
  const { id, runtime, ioUid, ioGid, criuWork } = record;
  const runc = { ...runtime, bundle };
  const settings = { id, runc, rootfs: [], checkpoint: "", criuWork, createFlags: [], ioUid, ioGid };
  const { execs, damaged } = readExecRecords(bundle);
  for (const name of damaged) {
    shim.log.say("warning", `${id}: the exec ${name} is not taken over: no good record`);
    killStray(bundle, name, record);
  }
  if (record.ended === null && known === null && !isRunning(record)) {
    const what =
      "it ended while no shim was there: unless a daemon held its pipes, up to 64 KiB of a stream may be lost";
    shim.log.say("warning", `${id}: ${what}`);
  }
  const container = new Container(shim, settings, record.stdio);
  shim.containers.set(id, container);
  try {
    await container.adopt(record, execs, known);
  } catch (thrown) {
    shim.containers.delete(id);
    throw thrown;
  }
  shim.log.say("info", `${id}: taken over from a shim that was killed`);
}
