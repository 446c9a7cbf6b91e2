// All tasks of this daemon, in all namespaces: making them, finding them again after a restart, and cleaning up after
// shims that died. The calls to one task are in service.ts.
//
//     create: bundle ─▶ shim start ─▶ connect ─▶ Create        failure at any step: everything made so far is removed
//     restore: each bundle ─▶ its address ─▶ connected: live | refused or missing: dead

import { join } from "node:path";
import { TaskDelete, TaskExit as TaskExitEvent } from "../../../api/containerd/gen/task_events.ts";
import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import type { Logger } from "../../../base/log.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { Exchange } from "../../../core/events/exchange.ts";
import {
  mountToMessage,
  nanosecondsFromMessage,
  nanosecondsToMessage,
  typedToMessage,
} from "../../../core/messages.ts";
import type { CreateTask, TaskExit } from "../../../core/tasks/tasks.ts";
import type { TypedValue } from "../../../core/values.ts";
import { ShimConnection } from "../call/shim.ts";
import type { Unpacker } from "../call/unpack.ts";
import type { BundlePlace, Bundles, ShimAddress } from "./bundle.ts";
import type { FifoStock } from "./fifos.ts";
import { adoptTask, type DaemonFacts, deleteDeadShim, type Launch, launchShim } from "./launch.ts";
import { DEFAULT_RUNTIME, type Runtimes } from "./runtime.ts";
import { Attempts, ShimLog, Task } from "./task.ts";

const SHUTDOWN_TIMEOUT = 5000; // milliseconds for a shim to answer Shutdown
const RESTORE_TIMEOUT = 5000; // milliseconds for a shim to say who it is

export interface ManagerParts {
  bundles: Bundles;
  runtimes: Runtimes;
  fifos: FifoStock;
  exchange: Exchange;
  unpacker: Unpacker;
  daemon: DaemonFacts;
  log: Logger;
}

interface NextShim {
  shim: ShimConnection;
  log: ShimLog | null;
}

export class TaskManager {
  readonly runtimes: Runtimes;
  private readonly parts: ManagerParts;
  private readonly tasks = new Map<string, Task>();
  /** Being created: the name is taken before the first step. */
  private readonly coming = new Set<string>();

  constructor(parts: ManagerParts) {
    this.parts = parts;
    this.runtimes = parts.runtimes;
    parts.exchange.listen((envelope) => {
      if (envelope.topic === "/tasks/exit" && envelope.event !== null)
        this.noteExit(envelope.namespace, envelope.event);
    });
  }

  find(namespace: string, id: string): Task {
    const task = this.tasks.get(key(namespace, id));
    if (task === undefined) throw new Failure("not_found", `task ${id} not found: not found`);
    return task;
  }

  list(namespace: string): Task[] {
    return [...this.tasks.values()].filter((task) => task.namespace === namespace);
  }

  async create(namespace: string, container: Container, wanted: CreateTask): Promise<Task> {
    const name = key(namespace, container.id);
    if (this.tasks.has(name) || this.coming.has(name)) {
      throw new Failure("already_exists", `task ${container.id}: already exists`);
    }
    if (container.spec === null) throw new Failure("invalid_argument", `container ${container.id} has no spec`);
    this.coming.add(name);
    try {
      const task = await this.launch(namespace, container, wanted);
      this.tasks.set(name, task);
      try {
        await this.createIn(task, container, wanted);
      } catch (thrown) {
        await this.abandon(task);
        throw failedCreate(thrown);
      }
      this.hold(task);
      return task;
    } finally {
      this.coming.delete(name);
      const task = this.tasks.get(name);
      if (task?.lostEarly === true) void this.lost(task);
    }
  }

  /** After the init process was deleted in the shim. */
  async retire(task: Task): Promise<void> {
    task.retiring = true;
    await task.shim.task.shutdown({ id: task.id, now: false }, { timeout: SHUTDOWN_TIMEOUT }).catch(() => {});
    this.tasks.delete(key(task.namespace, task.id));
    task.end(null);
    await this.removeBundle(task.launch.place);
  }

  /** What the first container would otherwise wait for: a stock of FIFOs, and asking the usual shim what it is. */
  async warmUp(): Promise<void> {
    const asked = this.runtimes.resolve(DEFAULT_RUNTIME, "");
    await Promise.allSettled([this.parts.fifos.refill(), asked]);
  }

  /** Finds the shims of an earlier life. Resolves when each is either connected or cleaned up. */
  async restore(): Promise<void> {
    this.parts.bundles.removeOrphanedWork();
    await Promise.all(this.parts.bundles.list().map((place) => this.restoreOne(place)));
  }

  /** Lets go of all shims; they and their containers go on. */
  close(): void {
    for (const task of this.tasks.values()) task.end(null);
    this.tasks.clear();
  }

  private async launch(namespace: string, container: Container, wanted: CreateTask): Promise<Task> {
    const { bundles, fifos, daemon } = this.parts;
    const runtime = container.runtime.name === "" ? DEFAULT_RUNTIME : container.runtime.name;
    const binary = await this.runtimes.resolve(runtime, wanted.runtimePath);
    const place = { namespace, id: container.id };
    await this.clearRemains(place);
    const bundle = bundles.create(place, container.spec!.value);
    const launch: Launch = { place, bundle, runtime, binary, options: container.runtime.options };
    let log: ShimLog | null = null;
    try {
      await fifos.take(join(bundle, "log"));
      log = ShimLog.open(bundle);
      const address = await launchShim(launch, daemon);
      const shim = await ShimConnection.open(address, namespace);
      const task = new Task({ launch, shim, log });
      this.watch(task);
      return task;
    } catch (thrown) {
      log?.close();
      await this.removeBundle(place);
      throw thrown;
    }
  }

  private async createIn(task: Task, container: Container, wanted: CreateTask): Promise<void> {
    const { stdin, stdout, stderr, terminal } = wanted;
    const options =
      wanted.options === null || wanted.options.value.length === 0 ? container.runtime.options : wanted.options;
    const answer = await task.shim.task.create({
      ...{ id: task.id, bundle: task.launch.bundle, stdin, stdout, stderr, terminal },
      rootfs: wanted.rootfs.map(mountToMessage),
      options: typedToMessage(options),
    });
    task.pid = answer.pid;
  }

  /** A failed create: the shim goes, and whatever it left is cleaned by its own delete. */
  private async abandon(task: Task): Promise<void> {
    task.retiring = true;
    await task.shim.task.shutdown({ id: task.id, now: true }, { timeout: SHUTDOWN_TIMEOUT }).catch(() => {});
    this.tasks.delete(key(task.namespace, task.id));
    task.end(null);
    await deleteDeadShim(task.launch, this.parts.daemon).catch(() => {});
    await this.removeBundle(task.launch.place);
  }

  private watch(task: Task): void {
    const { shim } = task;
    void shim.closed.then(() => {
      if (!task.retiring && task.shim === shim) void this.lost(task);
    });
  }

  private hold(task: Task): void {
    void this.parts.runtimes.adopts(task.launch.binary.path).then((adopts) => (adopts ? task.hold() : undefined));
  }

  /** The shim is dead: another one takes over, or what it was responsible for is cleaned up and told. */
  private async lost(task: Task): Promise<void> {
    const { log } = this.parts;
    const about = { id: task.id, namespace: task.namespace };
    if (this.coming.has(key(task.namespace, task.id))) {
      task.lostEarly = true;
      return;
    }
    log.info("shim disconnected", about);
    const taking = this.takeOver(task.launch, task);
    task.settling = taking;
    const next = await taking.catch((thrown) => {
      log.warn(`no shim takes over: ${messageOf(thrown)}`, about);
      return null;
    });
    task.settling = null;
    if (task.retiring) next?.shim.close();
    else if (next !== null) log.info("another shim took over", about);
    else {
      task.retiring = true;
      await this.cleanUp(task.launch, task);
    }
  }

  /** Null when the shim has no such action. Throws when it refuses, or does not serve. */
  private async takeOver(launch: Launch, task: Task | null): Promise<NextShim | null> {
    if (!(await this.parts.runtimes.adopts(launch.binary.path))) return null;
    const attempts = task?.attempts ?? new Attempts();
    while (attempts.next()) {
      try {
        return await this.tryNext(launch, task);
      } catch (thrown) {
        // The next one may be killed, too.
        if (codeOf(thrown) !== "unavailable") throw thrown;
        this.parts.log.warn(messageOf(thrown), { id: launch.place.id, namespace: launch.place.namespace });
      }
    }
    throw new Failure("resource_exhausted", "its shims end too often");
  }

  private async tryNext(launch: Launch, task: Task | null): Promise<NextShim> {
    const { daemon } = this.parts;
    // Before it writes: the FIFO's earlier reader saw its end with the killed shim.
    const log = ShimLog.open(launch.bundle);
    try {
      const address = await adoptTask(launch, daemon, task?.pidfd ?? null);
      const shim = await ShimConnection.open(address, launch.place.namespace);
      await shim.task.state({ id: launch.place.id }, { timeout: RESTORE_TIMEOUT });
      if (task !== null && !task.retiring) {
        task.takenOver({ shim, log });
        this.watch(task);
        this.hold(task);
      }
      return { shim, log };
    } catch (thrown) {
      log?.close();
      throw thrown;
    }
  }

  private async cleanUp(launch: Launch, task: Task | null): Promise<void> {
    const { daemon, log } = this.parts;
    const { namespace, id } = launch.place;
    let exit: TaskExit & { pid: number };
    try {
      exit = await deleteDeadShim(launch, daemon, task?.pidfd ?? null);
    } catch (thrown) {
      log.warn(`cleaning up after a dead shim: ${messageOf(thrown)}`, { id, namespace });
      exit = { pid: task?.pid ?? 0, exitStatus: 255, exitedAt: BigInt(Date.now()) * 1_000_000n };
    }
    if (exit.pid === 0 && task !== null) exit.pid = task.pid;
    if (task?.exit === null || task === null) this.publishExit(launch.place, exit);
    const known = task?.exit ?? exit;
    this.publishDelete(launch.place, { ...exit, ...known });
    this.tasks.delete(key(namespace, id));
    task?.end(known);
    await this.removeBundle(launch.place);
  }

  private async restoreOne(place: BundlePlace): Promise<void> {
    const { bundles, log } = this.parts;
    const binaryPath = bundles.readShimPath(place);
    const address = bundles.readAddress(place);
    const binary = { path: binaryPath ?? "", bootstrap: false };
    const launch: Launch = { place, bundle: bundles.path(place), runtime: "", binary, options: null };
    try {
      if (address === null) throw new Failure("unavailable", "the bundle names no shim");
      const task = new Task({ launch, ...(await this.reach(launch, address)) });
      this.tasks.set(key(place.namespace, place.id), task);
      this.watch(task);
      await this.learn(task);
      this.hold(task);
      log.info("found a shim again", { id: place.id, namespace: place.namespace });
    } catch (thrown) {
      log.warn(`shim of an earlier life is dead: ${messageOf(thrown)}`, { id: place.id, namespace: place.namespace });
      if (binaryPath === null) await this.removeBundle(place);
      else await this.cleanUp(launch, null).catch((failure) => log.error(messageOf(failure)));
    }
  }

  /** The shim of an earlier life, or one that takes over from it. */
  private async reach(launch: Launch, address: ShimAddress): Promise<NextShim> {
    try {
      const log = ShimLog.open(launch.bundle);
      return { shim: await ShimConnection.open(address, launch.place.namespace), log };
    } catch (thrown) {
      const next = await this.takeOver(launch, null);
      if (next === null) throw thrown;
      return next;
    }
  }

  /** A shim that answers slowly is alive all the same; one without its task has nothing to live for. */
  private async learn(task: Task): Promise<void> {
    try {
      const state = await task.shim.task.state({ id: task.id }, { timeout: RESTORE_TIMEOUT });
      task.pid = state.pid;
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.code !== "not_found") return;
      task.retiring = true;
      await task.shim.task.shutdown({ id: task.id, now: true }, { timeout: SHUTDOWN_TIMEOUT }).catch(() => {});
      this.tasks.delete(key(task.namespace, task.id));
      task.end(null);
      throw new Failure("unavailable", "the shim has no task", { cause: thrown });
    }
  }

  /** A bundle of this name that no task owns: of a create that was killed half way. */
  private async clearRemains(place: BundlePlace): Promise<void> {
    if (this.parts.bundles.readShimPath(place) !== null) await this.removeBundle(place);
  }

  private async removeBundle(place: BundlePlace): Promise<void> {
    const { bundles, unpacker, log } = this.parts;
    if (bundles.remove(place)) return;
    await unpacker.unmount(join(bundles.path(place), "rootfs")).catch((thrown) => log.error(messageOf(thrown)));
    if (!bundles.remove(place)) log.error("a bundle could not be removed: its rootfs is in use", { id: place.id });
  }

  private publishExit(place: BundlePlace, exit: TaskExit & { pid: number }): void {
    const { id } = place;
    const { pid, exitStatus } = exit;
    const exitedAt = nanosecondsToMessage(exit.exitedAt);
    const value = TaskExitEvent.encode({ containerId: id, id, pid, exitStatus, exitedAt });
    this.publish(place.namespace, "/tasks/exit", { typeUrl: TaskExitEvent.typeName, value });
  }

  private publishDelete(place: BundlePlace, exit: TaskExit & { pid: number }): void {
    const { pid, exitStatus } = exit;
    const exitedAt = nanosecondsToMessage(exit.exitedAt);
    const value = TaskDelete.encode({ containerId: place.id, id: "", pid, exitStatus, exitedAt });
    this.publish(place.namespace, "/tasks/delete", { typeUrl: TaskDelete.typeName, value });
  }

  private publish(namespace: string, topic: string, event: TypedValue): void {
    this.parts.exchange.forward({ timestamp: BigInt(Date.now()) * 1_000_000n, namespace, topic, event });
  }

  private noteExit(namespace: string, event: TypedValue): void {
    const exit = TaskExitEvent.decode(event.value);
    const task = this.tasks.get(key(namespace, exit.containerId));
    if (task === undefined || exit.id !== exit.containerId) return;
    task.exit = { exitStatus: exit.exitStatus, exitedAt: nanosecondsFromMessage(exit.exitedAt) };
  }
}

function key(namespace: string, id: string): string {
  return `${namespace}/${id}`;
}

function failedCreate(thrown: unknown): Failure {
  const code = thrown instanceof Failure ? thrown.code : "unknown";
  return new Failure(code, `failed to create shim task: ${messageOf(thrown)}`, { cause: thrown });
}
