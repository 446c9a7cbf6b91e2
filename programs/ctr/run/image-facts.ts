// What ctr tells about an image: its size, its platforms, and how much of it is there.

import { codeOf } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import {
  hostPlatform,
  isIndex,
  isManifest,
  readConfig,
  readIndex,
  readManifest,
  resolveManifest,
} from "../../../core/images/manifest.ts";
import type { Descriptor } from "../../../core/values.ts";

/** Bytes of manifest, config and layers for this machine. */
export async function imageSize(content: ContentStore, target: Descriptor): Promise<number> {
  const blobs = await requiredBlobs(content, target);
  return blobs.reduce((sum, blob) => sum + blob.size, 0);
}

/** Everything this machine needs of an image; the manifest itself has to be there. */
export async function requiredBlobs(content: ContentStore, target: Descriptor): Promise<Descriptor[]> {
  const found = await resolveManifest(content, target, hostPlatform());
  const above = found.target.digest === target.digest ? [] : [target];
  return [...above, found.target, found.manifest.config, ...found.manifest.layers];
}

/** "linux/amd64", of those whose manifests are there. */
export async function imagePlatforms(content: ContentStore, target: Descriptor): Promise<string[]> {
  const names: string[] = [];
  await collect(content, target, names);
  return [...new Set(names)];
}

async function collect(content: ContentStore, target: Descriptor, names: string[]): Promise<void> {
  if (isIndex(target.mediaType)) {
    for (const child of (await readIndex(content, target)).manifests) await collect(content, child, names);
  } else if (isManifest(target.mediaType)) {
    if (target.platform !== undefined) names.push(platformName(target.platform));
    else {
      const config = await readPresent(content, target);
      if (config !== null) names.push(platformName(config));
    }
  }
}

async function readPresent(
  content: ContentStore,
  target: Descriptor,
): Promise<{ os: string; architecture: string; variant?: string } | null> {
  try {
    return await readConfig(content, await readManifest(content, target));
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return null;
    throw thrown;
  }
}

function platformName({ os, architecture, variant }: { os: string; architecture: string; variant?: string }): string {
  return [os, architecture, variant ?? ""].filter((part) => part !== "").join("/");
}
