// Writing an image's parts into containerd's content store, with the labels by which garbage collection follows them.
// Used by load and import, always under a lease.

import { createHash, randomBytes } from "node:crypto";
import { type Bytes, encodeUtf8 } from "../../../base/bytes.ts";
import { codeOf } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Descriptor } from "../../../core/values.ts";
import { isIndex, readDocument } from "./images.ts";

export interface WrittenBlob {
  digest: string;
  size: number;
}

/** A blob whose digest is known when all of it was written. `expected` is checked when it is given. */
export async function writeBlob(
  content: ContentStore,
  pieces: AsyncIterable<Uint8Array>,
  expected: string | null,
): Promise<WrittenBlob> {
  const ref = `gantry-load-${randomBytes(12).toString("hex")}`;
  const writer = await content.writer(ref, { size: 0, digest: "" });
  const hash = createHash("sha256");
  let size = 0;
  let digest = expected ?? "";
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      size += piece.length;
      await writer.write(piece);
    }
    const actual = `sha256:${hash.digest("hex")}`;
    digest = expected ?? actual;
    await writer.commit({ size, digest, labels: {} });
    return { digest, size };
  } catch (thrown) {
    if (codeOf(thrown) === "already_exists") return { digest, size };
    await writer.close().catch(() => {});
    await content.abort(ref).catch(() => {});
    throw thrown;
  }
}

export async function writeBytes(content: ContentStore, bytes: Bytes): Promise<WrittenBlob> {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  await writeBlob(content, [bytes] as unknown as AsyncIterable<Uint8Array>, digest);
  return { digest, size: bytes.length };
}

export async function writeDocument(content: ContentStore, mediaType: string, value: unknown): Promise<Descriptor> {
  const { digest, size } = await writeBytes(content, encodeUtf8(JSON.stringify(value)));
  return { mediaType, digest, size };
}

/** Labels a manifest or an index with what it refers to, as far as that is there. */
export async function labelReferences(content: ContentStore, target: Descriptor): Promise<void> {
  const labels: Record<string, string> = {};
  if (isIndex(target.mediaType)) {
    const { manifests = [] } = await readDocument<{ manifests?: Descriptor[] }>(content, target);
    for (const [at, manifest] of manifests.entries()) {
      if (!(await isThere(content, manifest.digest))) continue;
      labels[`containerd.io/gc.ref.content.m.${at}`] = manifest.digest;
      await labelReferences(content, manifest);
    }
  } else {
    const { config, layers = [] } = await readDocument<{ config?: Descriptor; layers?: Descriptor[] }>(content, target);
    if (config !== undefined) labels["containerd.io/gc.ref.content.config"] = config.digest;
    for (const [at, layer] of layers.entries()) labels[`containerd.io/gc.ref.content.l.${at}`] = layer.digest;
  }
  const fields = Object.keys(labels).map((key) => `labels.${key}`);
  if (fields.length > 0) await content.update({ digest: target.digest, labels }, fields);
}

export function isThere(content: ContentStore, digest: string): Promise<boolean> {
  return content.info(digest).then(
    () => true,
    (thrown) => {
      if (codeOf(thrown) === "not_found") return false;
      throw thrown;
    },
  );
}
