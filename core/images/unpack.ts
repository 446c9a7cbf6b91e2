// Unpacking: an image's layers become a chain of committed snapshots, each named by its chain id.
//
//     for each layer:  Prepare "extract-<random> <chain id>" ──▶ Diff.Apply ──▶ diff id checked ──▶ Commit <chain id>
//     at the end:      the config's content gets the label that keeps the last snapshot alive
//
// Two who unpack the same image at once meet at Commit: the second finds the snapshot there and goes on.

import { randomBytes } from "node:crypto";
import { codeOf, Failure } from "../../base/errors.ts";
import type { Nouns } from "../remote.ts";
import type { SnapshotStore } from "../snapshots/snapshots.ts";
import type { Descriptor, Labels } from "../values.ts";
import {
  addLabels,
  chainIds,
  hostPlatform,
  type ImageConfig,
  type Platform,
  readConfig,
  resolveManifest,
} from "./manifest.ts";

export interface Unpacked {
  /** The last snapshot of the chain; empty for an image without layers. */
  chainId: string;
  config: ImageConfig;
  /** The manifest of the platform, and its config. */
  manifest: Descriptor;
  configDescriptor: Descriptor;
}

/** Does what is missing; nothing when the image is unpacked. */
export async function unpackImage(
  nouns: Pick<Nouns, "content" | "diff" | "snapshots">,
  target: Descriptor,
  options: { snapshotter: string; platform?: Platform },
): Promise<Unpacked> {
  const { content } = nouns;
  const found = await resolveManifest(content, target, options.platform ?? hostPlatform());
  const config = await readConfig(content, found.manifest);
  const { layers } = found.manifest;
  const diffIds = config.rootfs.diff_ids;
  if (layers.length !== diffIds.length) {
    throw new Failure("invalid_argument", "mismatched image rootfs and manifest layers");
  }
  const chain = chainIds(diffIds);
  const snapshots = nouns.snapshots(options.snapshotter);
  const first = await firstMissing(snapshots, chain);
  for (let at = first; at < chain.length; at++) {
    const step = { chainId: chain[at]!, parent: chain[at - 1] ?? "", layer: layers[at]!, diffId: diffIds[at]! };
    await unpackLayer(nouns, snapshots, step);
  }
  const chainId = chain.at(-1) ?? "";
  const key = `containerd.io/gc.ref.snapshot.${options.snapshotter}`;
  if (chainId !== "") await addLabels(content, found.manifest.config.digest, { [key]: chainId });
  return { chainId, config, manifest: found.target, configDescriptor: found.manifest.config };
}

/** Layers below an existing snapshot are there: asking from the top finds an unpacked image with one question. */
async function firstMissing(snapshots: SnapshotStore, chain: readonly string[]): Promise<number> {
  for (let at = chain.length; at > 0; at--) if (await exists(snapshots, chain[at - 1]!)) return at;
  return 0;
}

async function exists(snapshots: SnapshotStore, name: string): Promise<boolean> {
  try {
    await snapshots.stat(name);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return false;
    throw thrown;
  }
}

async function unpackLayer(
  nouns: Pick<Nouns, "content" | "diff">,
  snapshots: SnapshotStore,
  step: { chainId: string; parent: string; layer: Descriptor; diffId: string },
): Promise<void> {
  const key = `extract-${Date.now()}-${randomBytes(4).toString("hex")} ${step.chainId}`;
  const labels: Labels = { "containerd.io/snapshot.ref": step.chainId };
  let mounts: Awaited<ReturnType<SnapshotStore["prepare"]>>;
  try {
    mounts = await snapshots.prepare(key, step.parent, labels);
  } catch (thrown) {
    if (codeOf(thrown) === "already_exists") return;
    throw thrown;
  }
  try {
    const applied = await nouns.diff.apply(step.layer, mounts);
    if (applied.digest !== step.diffId) {
      throw new Failure("failed_precondition", `wrong diff id calculated on extraction "${applied.digest}"`);
    }
    await snapshots.commit(step.chainId, key, labels);
  } catch (thrown) {
    await snapshots.remove(key).catch(() => {});
    if (codeOf(thrown) === "already_exists") return;
    if (!(thrown instanceof Failure)) throw thrown;
    const message = `failed to extract layer ${step.diffId}: ${thrown.message}`;
    throw new Failure(thrown.code, message, { cause: thrown });
  }
  await addLabels(nouns.content, step.layer.digest, { "containerd.io/uncompressed": step.diffId });
}
