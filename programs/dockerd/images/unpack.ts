// Making sure an image's layers are there as snapshots. Done at load and import; asked again at create, where the
// answer is nearly always a look into a set.

import { randomBytes } from "node:crypto";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { Containerd } from "../call/containerd/containerd.ts";
import { chainIds, type ImageFacts, type Images } from "./images.ts";

/** Seconds a lease of ours lives if this process dies. */
const LEASE_SECONDS = 3600;

export async function ensureUnpacked(containerd: Containerd, images: Images, facts: ImageFacts): Promise<void> {
  if (images.unpacked.has(facts.chainId)) return;
  if (facts.chainId !== "" && !(await exists(containerd, facts.chainId))) await unpack(containerd, facts);
  images.unpacked.add(facts.chainId);
}

/** Runs `body` with a containerd whose new content and snapshots are held until it is done. */
export async function withLease<T>(containerd: Containerd, body: (leased: Containerd) => Promise<T>): Promise<T> {
  const id = `gantry-${Date.now()}-${randomBytes(4).toString("hex")}`;
  const expire = new Date(Date.now() + LEASE_SECONDS * 1000).toISOString();
  await containerd.leases.create({ id, labels: { "containerd.io/gc.expire": expire } });
  try {
    return await body(containerd.leased(id));
  } finally {
    await containerd.leases.delete(id, false).catch(() => {});
  }
}

async function exists(containerd: Containerd, chainId: string): Promise<boolean> {
  try {
    return (await containerd.snapshots.stat(chainId)).kind === "committed";
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return false;
    throw thrown;
  }
}

async function unpack(containerd: Containerd, facts: ImageFacts): Promise<void> {
  const diffIds = facts.document.rootfs?.diff_ids ?? [];
  if (diffIds.length !== facts.layers.length) {
    throw new Failure(
      "invalid_argument",
      `image ${facts.target.digest} names ${facts.layers.length} layers and ${diffIds.length} diff ids`,
    );
  }
  await withLease(containerd, async (leased) => {
    const chain = chainIds(diffIds);
    for (const [index, name] of chain.entries()) {
      if (await exists(leased, name)) continue;
      await unpackLayer(leased, { facts, index, name, parent: chain[index - 1] ?? "" });
    }
    // The configuration's record holds the snapshot from now on.
    const labels = { [`containerd.io/gc.ref.snapshot.${containerd.snapshotter}`]: facts.chainId };
    const fields = Object.keys(labels).map((key) => `labels.${key}`);
    await leased.content.update({ digest: facts.config.digest, labels }, fields);
  });
}

async function unpackLayer(
  containerd: Containerd,
  of: { facts: ImageFacts; index: number; name: string; parent: string },
): Promise<void> {
  const key = `extract-${randomBytes(6).toString("hex")} ${of.name}`;
  const labels = { "containerd.io/snapshot.ref": of.name };
  const mounts = await containerd.snapshots.prepare(key, of.parent, labels);
  try {
    const applied = await containerd.diff.apply(of.facts.layers[of.index]!, mounts);
    const expected = of.facts.document.rootfs!.diff_ids![of.index]!;
    if (applied.digest !== expected) {
      throw new Failure("data_loss", `wrong diff id calculated on extraction ${applied.digest}, expected ${expected}`);
    }
    await containerd.snapshots.commit(of.name, key, labels);
  } catch (thrown) {
    await containerd.snapshots.remove(key).catch(() => {});
    if (codeOf(thrown) !== "already_exists") throw thrown;
  }
}
