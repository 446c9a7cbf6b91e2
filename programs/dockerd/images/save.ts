// GET /images/get: an archive that both the old and the new `docker load`, containerd and skopeo read: an OCI layout
// with manifest.json beside it.

import { pack } from "tar-stream";
import { encodeUtf8 } from "../../../base/bytes.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Descriptor } from "../../../core/values.ts";
import type { Engine } from "../engine.ts";
import { type FoundImage, type ImageFacts, isIndex, readDocument, repoNames } from "./images.ts";
import { isThere } from "./store.ts";

const EPOCH = new Date(0);

interface Saving {
  content: ContentStore;
  written: Set<string>;
  tar: ReturnType<typeof pack>;
}

/** Looks everything up first, so that a missing image is an error before the first byte. */
export async function saveImages(engine: Engine, names: readonly string[]): Promise<AsyncIterable<Uint8Array>> {
  const found: { image: FoundImage; facts: ImageFacts }[] = [];
  for (const name of names) {
    const image = await engine.images.find(name);
    found.push({ image, facts: await engine.images.facts(image.records[0]!.target) });
  }
  const saving: Saving = { content: engine.containerd.content, written: new Set(), tar: pack() };
  writeAll(saving, found).then(
    () => saving.tar.finalize(),
    (thrown) => saving.tar.destroy(thrown as Error),
  );
  return saving.tar as unknown as AsyncIterable<Uint8Array>;
}

async function writeAll(saving: Saving, found: { image: FoundImage; facts: ImageFacts }[]): Promise<void> {
  const index: Descriptor[] = [];
  const manifests: object[] = [];
  for (const { image, facts } of found) {
    await writeTree(saving, facts.target);
    const byId = image.name === image.digest;
    const { tags } = byId ? { tags: [] } : repoNames(image.records);
    const annotations = byId
      ? {}
      : {
          annotations: {
            "io.containerd.image.name": image.name,
            "org.opencontainers.image.ref.name": image.name.slice(image.name.lastIndexOf(":") + 1),
          },
        };
    index.push({
      mediaType: facts.target.mediaType,
      digest: facts.target.digest,
      size: facts.target.size,
      ...annotations,
    });
    manifests.push({
      Config: blobPath(facts.config.digest),
      RepoTags: tags.length === 0 ? null : tags,
      Layers: facts.layers.map((layer) => blobPath(layer.digest)),
    });
  }
  const mediaType = "application/vnd.oci.image.index.v1+json";
  await small(saving, "index.json", { schemaVersion: 2, mediaType, manifests: index });
  await small(saving, "manifest.json", manifests);
  await small(saving, "oci-layout", { imageLayoutVersion: "1.0.0" });
}

async function writeTree(saving: Saving, descriptor: Descriptor): Promise<void> {
  if (!(await isThere(saving.content, descriptor.digest))) return; // of another platform, never fetched
  await writeBlobEntry(saving, descriptor.digest);
  if (isIndex(descriptor.mediaType)) {
    const { manifests = [] } = await readDocument<{ manifests?: Descriptor[] }>(saving.content, descriptor);
    for (const manifest of manifests) await writeTree(saving, manifest);
    return;
  }
  const document = await readDocument<{ config?: Descriptor; layers?: Descriptor[] }>(saving.content, descriptor);
  for (const part of [document.config, ...(document.layers ?? [])]) {
    if (part !== undefined) await writeBlobEntry(saving, part.digest);
  }
}

async function writeBlobEntry(saving: Saving, digest: string): Promise<void> {
  if (saving.written.has(digest)) return;
  saving.written.add(digest);
  const { size } = await saving.content.info(digest);
  const header = { name: blobPath(digest), size, mode: 0o444, mtime: EPOCH };
  await new Promise<void>((resolve, reject) => {
    const entry = saving.tar.entry(header, (error) => (error ? reject(error) : resolve()));
    void (async () => {
      for await (const piece of saving.content.read(digest)) {
        if (!entry.write(piece)) await new Promise<void>((drained) => entry.once("drain", () => drained()));
      }
      entry.end(null as never);
    })().catch(reject);
  });
}

function small(saving: Saving, name: string, value: unknown): Promise<void> {
  const bytes = Buffer.from(encodeUtf8(JSON.stringify(value)));
  return new Promise((resolve, reject) => {
    saving.tar.entry({ name, mode: 0o444, mtime: EPOCH }, bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function blobPath(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}
