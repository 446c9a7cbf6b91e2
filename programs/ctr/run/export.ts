// Images as an OCI layout in one tar, with Docker's manifest.json beside it; blobs stream through, never whole in
// memory.

import { createWriteStream, rmSync } from "node:fs";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { codeOf } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Image } from "../../../core/images/images.ts";
import { hostPlatform, isIndex, type Manifest, resolveManifest } from "../../../core/images/manifest.ts";
import { familiarRepository, parseReference } from "../../../core/images/reference.ts";
import type { Descriptor } from "../../../core/values.ts";
import { systemFailure } from "../cli/errors.ts";

export interface ExportOptions {
  readonly manifestJson: boolean;
  /** "-" is stdout. */
  readonly path: string;
}

export async function exportImages(
  content: ContentStore,
  images: readonly Image[],
  options: ExportOptions,
): Promise<void> {
  const found = [];
  for (const image of images) found.push({ image, ...(await resolveManifest(content, image.target, hostPlatform())) });
  const archive = pack();
  const out = options.path === "-" ? process.stdout : createWriteStream(options.path, { flags: "w", mode: 0o644 });
  const written = pipeline(archive, out, { end: options.path !== "-" });
  try {
    await Promise.all([written, fill(archive, content, found, options)]);
  } catch (thrown) {
    archive.destroy();
    if (options.path !== "-") rmSync(options.path, { force: true });
    if ((thrown as { syscall?: string }).syscall === "open") throw systemFailure("open", options.path, thrown);
    throw thrown;
  }
}

interface Found {
  image: Image;
  target: Descriptor;
  manifest: Manifest;
}

async function fill(
  archive: Pack,
  content: ContentStore,
  found: readonly Found[],
  options: ExportOptions,
): Promise<void> {
  const blobs = new Map<string, Descriptor>();
  for (const { image, target, manifest } of found) {
    const above = isIndex(image.target.mediaType) ? [image.target] : [];
    for (const blob of [...above, target, manifest.config, ...manifest.layers]) blobs.set(blob.digest, blob);
  }
  archive.entry({ name: "blobs/", type: "directory", mode: 0o755 });
  archive.entry({ name: "blobs/sha256/", type: "directory", mode: 0o755 });
  for (const digest of [...blobs.keys()].sort()) await addBlob(archive, content, blobs.get(digest)!);
  archive.entry({ name: "index.json", mode: 0o644 }, JSON.stringify(indexOf(found)));
  if (options.manifestJson) archive.entry({ name: "manifest.json", mode: 0o644 }, JSON.stringify(dockerOf(found)));
  archive.entry({ name: "oci-layout", mode: 0o444 }, '{"imageLayoutVersion":"1.0.0"}');
  archive.finalize();
}

async function addBlob(archive: Pack, content: ContentStore, blob: Descriptor): Promise<void> {
  const entry = archive.entry({ name: pathOf(blob), size: blob.size, mode: 0o444 });
  await pipeline(content.read(blob.digest), entry as unknown as Writable);
}

function pathOf({ digest }: Descriptor): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function indexOf(found: readonly Found[]): unknown {
  const manifests = found.map(({ image }) => {
    const { mediaType, digest, size } = image.target;
    const names = { "io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tagOf(image.name) };
    return { mediaType, digest, size, annotations: names };
  });
  return { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
}

function dockerOf(found: readonly Found[]): unknown {
  return found.map(({ image, manifest }) => ({
    Config: pathOf(manifest.config),
    RepoTags: [familiarName(image.name)],
    Layers: manifest.layers.map(pathOf),
  }));
}

function tagOf(name: string): string {
  return /:([^/:]+)$/.exec(name.split("@")[0]!)?.[1] ?? "";
}

function familiarName(name: string): string {
  try {
    const { repository, tag } = parseReference(name);
    return tag === null ? name : `${familiarRepository(repository)}:${tag}`;
  } catch (thrown) {
    if (codeOf(thrown) === "invalid_argument") return name;
    throw thrown;
  }
}
