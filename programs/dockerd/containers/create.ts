// POST /containers/create: a record, a writable snapshot of the image, a containerd container with its document. What
// can run side by side does; if anything fails, everything made so far is taken back.

import { randomBytes, randomInt } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { codeOf, Failure } from "../../../base/errors.ts";
import { listInside, rootOfMounts } from "../../../core/rootfs/walk.ts";
import type { User } from "../../../core/spec/oci.ts";
import { checkResources } from "../../../core/spec/resources.ts";
import type { Mount } from "../../../core/values.ts";
import { type Engine, ROWS } from "../engine.ts";
import type { ImageFacts } from "../images/images.ts";
import { ensureUnpacked } from "../images/unpack.ts";
import { logPathOf } from "../output/options.ts";
import { seedVolume } from "../volumes/copyup.ts";
import { checkCreate, mergeConfig, normaliseHostConfig } from "./body.ts";
import type { CreateBody } from "./config.ts";
import { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { writeHostFiles } from "./hostfiles.ts";
import { lookUpUser, rememberedUser } from "./identity.ts";
import { resolveMounts } from "./mounts.ts";
import { checkName, generateName } from "./names.ts";
import { type ContainerRecord, durabilityOf, type MountPoint, nowText, ZERO_TIME } from "./record.ts";
import { specText } from "./spec.ts";
import { containerdFor, storeSpec } from "./stored.ts";

export interface Created {
  id: string;
  warnings: string[];
}

export async function createContainer(engine: Engine, body: CreateBody, wantedName: string): Promise<Created> {
  const warnings = checkCreate(engine, body);
  checkResources(body.HostConfig ?? {});
  const id = randomBytes(32).toString("hex");
  const name = wantedName === "" ? generateName((one) => engine.containers.nameTaken(one), randomInt) : wantedName;
  checkName(name.replace(/^\//, ""));
  const plainName = name.replace(/^\//, "");
  engine.containers.reserve(plainName, id);
  const undo: (() => Promise<unknown>)[] = [];
  try {
    await build(engine, { body, id, name: plainName, undo });
    return { id, warnings };
  } catch (thrown) {
    for (const step of undo.toReversed()) {
      await step().catch((cause) => engine.log.warn(`undoing the creation of ${id}: ${(cause as Error).message}`));
    }
    engine.containers.release(plainName, id);
    throw thrown;
  }
}

interface Building {
  body: CreateBody;
  id: string;
  name: string;
  undo: (() => Promise<unknown>)[];
}

async function build(engine: Engine, of: Building): Promise<void> {
  const { body, id, undo } = of;
  const image = await engine.images.find(body.Image ?? "");
  const facts = await engine.images.facts(image.records[0]!.target);
  await ensureUnpacked(engine.containerd, engine.images, facts);
  const record = newRecord(engine, of, { digest: image.digest, facts });
  const { snapshots } = containerdFor(engine, record);
  const preparing = snapshots.prepare(id, facts.chainId, snapshotLabels());
  preparing.catch(() => {});
  undo.push(async () => {
    await preparing;
    await snapshots.remove(id);
  });
  undo.push(async () => rmSync(join(engine.settings.dataRoot, "containers", id), { recursive: true, force: true }));
  writeHostFiles(engine, record);
  record.mounts = await resolveMounts({
    config: record.config,
    hostConfig: record.hostConfig,
    imageVolumes: Object.keys(facts.document.config?.Volumes ?? {}),
    containerId: id,
    volumes: engine.volumes,
    find: (reference) => engine.containers.find(reference),
  });
  undo.push(() => removeAnonymous(engine, record.mounts));
  const container = new Container(record);
  // A user that is not there is told now, not at start. Known from an earlier container, the mounts are not waited for.
  const user = rememberedUser(record) ?? lookUpUser(record, await preparing);
  if (record.mounts.some((point) => point.Type === "volume")) await seedVolumes(engine, record, await preparing);
  const storing = storeEarly(engine, container, user);
  undo.push(async () => {
    await storing.catch(() => {});
    if (container.storedSpec !== null) await engine.containerd.containers.delete(id);
  });
  const saving = engine.database.change(durabilityOf(record), (change) =>
    change.put(engine.records, [ROWS, id], record),
  );
  undo.push(async () => {
    await saving.catch(() => {});
    await engine.database.change("running", (change) => change.remove(engine.records, [ROWS, id]));
  });
  const [mounts] = await Promise.all([preparing, storing, saving]);
  container.freshMounts = mounts;
  engine.containers.add(container);
  emitContainer(engine, container, "create");
}

/** Stores the document at create when it can be known; what depends on others that run is stored at start. */
async function storeEarly(engine: Engine, container: Container, user: User): Promise<void> {
  const { hostConfig } = container.record;
  const later = [hostConfig.PidMode, hostConfig.IpcMode, hostConfig.NetworkMode].some((mode) =>
    mode?.startsWith("container:"),
  );
  if (later) return;
  await storeSpec(engine, container, specText(engine, container.record, user));
}

function snapshotLabels(): Record<string, string> {
  // Holds the snapshot against collection until the container's record in containerd names it.
  return { "containerd.io/gc.root": new Date().toISOString() };
}

function newRecord(engine: Engine, of: Building, image: { digest: string; facts: ImageFacts }): ContainerRecord {
  const { body, id, name } = of;
  const config = mergeConfig(body, image.facts.document.config ?? {});
  const hostConfig = normaliseHostConfig(engine, body.HostConfig ?? {});
  const { kind } = engine.networks.mode(hostConfig);
  const ownHostname = kind === "host" || hostConfig.UTSMode === "host" ? engine.host.hostname : id.slice(0, 12);
  if ((config.Hostname ?? "") === "") config.Hostname = ownHostname;
  const command = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (command.length === 0 || (command.length === 1 && command[0] === "")) {
    throw new Failure("invalid_argument", "no command specified");
  }
  const logDriver = hostConfig.LogConfig!.Type!;
  const logOptions = { ...hostConfig.LogConfig!.Config };
  const networks: ContainerRecord["networks"] = {};
  for (const [network, settings] of Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})) {
    networks[network] = settings ?? {};
  }
  return {
    id,
    name,
    createdAt: nowText(),
    config,
    hostConfig,
    networks,
    imageName: body.Image ?? "",
    imageId: image.digest,
    manifestDigest: image.facts.manifest.digest,
    snapshotter: engine.containerd.snapshotter,
    path: command[0]!,
    args: command.slice(1),
    mounts: [],
    endpoint: null,
    logPath: logPathOf(engine.settings.dataRoot, { id, logDriver }) ?? "",
    logDriver,
    logOptions,
    output: null,
    state: {
      status: "created",
      oomKilled: false,
      pid: 0,
      exitCode: 0,
      error: "",
      startedAt: ZERO_TIME,
      finishedAt: ZERO_TIME,
      restartCount: 0,
      manuallyStopped: false,
      everStarted: false,
    },
  };
}

async function seedVolumes(engine: Engine, record: ContainerRecord, mounts: readonly Mount[]): Promise<void> {
  const root = rootOfMounts(mounts);
  for (const point of record.mounts) {
    if (point.Type !== "volume" || !point.copyUp || root === null) continue;
    const names = listInside(root, point.Destination);
    if (names === null || names.length === 0) continue;
    await seedVolume(engine.log, root, point);
  }
}

/** Anonymous volumes of a container that goes, unless another one took them over. */
export async function removeAnonymous(engine: Engine, mounts: readonly MountPoint[]): Promise<void> {
  for (const point of mounts) {
    if (point.Type !== "volume" || !point.anonymous) continue;
    await engine.volumes.remove(point.Name, true).catch((thrown) => {
      if (codeOf(thrown) !== "failed_precondition") throw thrown;
    });
  }
}
