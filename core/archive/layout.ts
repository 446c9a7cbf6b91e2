// The OCI image layout: index.json names the images, their blobs lie under blobs/<algorithm>/<hex>.

import { codeOf, Failure } from "../../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import {
  addLabels,
  checkIndex,
  childLabels,
  isIndex,
  isManifest,
  MEDIA,
  readIndex,
  readManifest,
} from "../images/manifest.ts";
import type { Descriptor } from "../values.ts";
import { writeDocument } from "./docker.ts";
import type { FoundImage, ImportOptions } from "./import.ts";

const IMAGE_NAME = "io.containerd.image.name";
const REF_NAME = "org.opencontainers.image.ref.name";
const DEPTH_LIMIT = 8; // indexes inside indexes

export async function layoutImages(
  document: Record<string, unknown>,
  content: ContentStore,
  options: ImportOptions,
): Promise<FoundImage[]> {
  const index = checkIndex(document, "index.json");
  const found: FoundImage[] = [];
  for (const entry of index.manifests) {
    if (!(await labelChildren(content, entry, 0))) {
      throw new Failure("not_found", `index.json names ${entry.digest}, which is not in the archive`);
    }
    const { annotations, ...plain } = entry;
    const target: Descriptor = { mediaType: plain.mediaType, digest: plain.digest, size: plain.size };
    const name = annotations?.[IMAGE_NAME] ?? translated(annotations?.[REF_NAME], options);
    if (name !== null) found.push({ name, target });
    if (options.digestName !== null && !(options.skipDigestForNamed && name !== null)) {
      found.push({ name: options.digestName(target.digest), target });
    }
  }
  if (options.indexName !== "") {
    const labels = childLabels({ manifests: index.manifests });
    const target = await writeDocument(content, { mediaType: MEDIA.index, document: index, labels });
    found.push({ name: options.indexName, target });
  }
  return found;
}

function translated(reference: string | undefined, options: ImportOptions): string | null {
  return reference === undefined || reference === "" ? null : options.translate(reference);
}

/** False when the blob is not there: an archive of one platform may leave the others out. */
async function labelChildren(content: ContentStore, target: Descriptor, depth: number): Promise<boolean> {
  if (depth > DEPTH_LIMIT) throw new Failure("invalid_argument", "index.json: indexes are nested too deep");
  if (!isIndex(target.mediaType) && !isManifest(target.mediaType)) return present(content, target);
  if (!(await present(content, target))) return false;
  if (isIndex(target.mediaType)) {
    const index = await readIndex(content, target);
    let some = false;
    for (const child of index.manifests) some = (await labelChildren(content, child, depth + 1)) || some;
    await addLabels(content, target.digest, childLabels({ manifests: index.manifests }));
    return some;
  }
  const manifest = await readManifest(content, target);
  for (const child of [manifest.config, ...manifest.layers]) {
    if (!(await present(content, child))) {
      throw new Failure("not_found", `manifest ${target.digest} names ${child.digest}, which is not in the archive`);
    }
  }
  await addLabels(content, target.digest, childLabels(manifest));
  return true;
}

async function present(content: ContentStore, target: Descriptor): Promise<boolean> {
  try {
    const info = await content.info(target.digest);
    if (info.size === target.size) return true;
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return false;
    throw thrown;
  }
  throw new Failure("invalid_argument", `${target.digest} has another size than its descriptor says`);
}
