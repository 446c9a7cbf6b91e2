// Removing a container. From the moment its row says "removing" nobody can find it any more and its name is free;
// what it had (snapshot, folder, record in containerd) goes then, and is tried again at the next start if that fails.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { codeOf, Failure, messageOf } from "../../../base/errors.ts";
import { changeState, type Engine, ROWS } from "../engine.ts";
import type { Container } from "./container.ts";
import { removeAnonymous } from "./create.ts";
import { emitContainer } from "./emit.ts";
import { hostFiles } from "./hostfiles.ts";
import { durabilityOf } from "./record.ts";
import { attachSocketPath, releaseNetwork } from "./start.ts";
import { bringDown } from "./stop.ts";

export interface RemoveOptions {
  force: boolean;
  /** Anonymous volumes go, too. */
  volumes: boolean;
  /** The caller holds the container's lock. */
  locked: boolean;
}

export async function removeContainer(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  if (container.removing) {
    if (options.force && engine.containers.get(container.id) === null) return;
    throw new Failure("failed_precondition", `removal of container ${container.id} is already in progress`);
  }
  const { status } = container.record.state;
  if ((container.running || status === "restarting") && !options.force) throw inUse(container);
  container.removing = true;
  try {
    // A task that a start cut short left is found, and deleted, through its container.
    await engine.reconciled.catch(() => {});
    if (container.running) await bringDown(engine, container, { signal: "KILL", timeout: null });
    container.restartTimer?.[Symbol.dispose]();
    container.restartTimer = null;
    if (options.locked) await retire(engine, container, options);
    else await container.exclusive(() => retire(engine, container, options));
  } catch (thrown) {
    container.removing = false;
    throw thrown;
  }
}

function inUse(container: Container): Failure {
  const { name, state } = container.record;
  const first = state.status === "paused" ? "unpause and then " : "";
  return new Failure(
    "failed_precondition",
    `cannot remove container "/${name}": container is ${state.status}: ` +
      `${first}stop the container before removing or force remove`,
  );
}

async function retire(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  const { id } = container;
  changeState(container, { status: "removing" });
  const { record } = container;
  await releaseNetwork(engine, container).catch((thrown) =>
    engine.log.warn(`releasing the network of ${id}: ${messageOf(thrown)}`),
  );
  await engine.database.change(durabilityOf(record), (change) => change.put(engine.records, [ROWS, id], record));
  engine.containers.remove(container);
  for (const execId of container.execs) engine.execs.remove(execId);
  if (options.volumes) await removeAnonymous(engine, record.mounts);
  emitContainer(engine, container, "destroy");
  container.wake(["removed", "not-running", "next-exit"]);
  for (const attachment of [...container.pending]) attachment.abandon();
  const removesItself = record.hostConfig.AutoRemove === true;
  const sweeping = sweep(engine, id, removesItself);
  engine.background(`sweeping ${id}`, sweeping);
  // Who asked for the removal finds nothing left; who only waits for a --rm container need not wait for that.
  if (!removesItself) await sweeping.catch(() => {});
}

/** What is left of a container whose row says "removing"; the row goes last. Also called at start. */
export async function sweep(engine: Engine, id: string, relaxed = false): Promise<void> {
  const containerd = relaxed ? engine.containerd.relaxed() : engine.containerd;
  const missing = (thrown: unknown) => {
    if (codeOf(thrown) !== "not_found") throw thrown;
  };
  await Promise.all([containerd.containers.delete(id).catch(missing), containerd.snapshots.remove(id).catch(missing)]);
  // Of a start that was cut short in the middle of it.
  if (existsSync(join(engine.settings.execRoot, "net/netns", id))) await engine.networks.detach(id);
  rmSync(hostFiles(engine, id).folder, { recursive: true, force: true });
  rmSync(join(engine.settings.execRoot, "containerd", id), { recursive: true, force: true });
  rmSync(attachSocketPath(engine, id), { force: true });
  await engine.database.change("running", (change) => change.remove(engine.records, [ROWS, id]));
}
