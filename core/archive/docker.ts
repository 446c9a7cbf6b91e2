// The format of `docker save` before it was an OCI layout: manifest.json names a config file and layer files for each
// image. What has no manifest gets one made here, as containerd does it.

import { randomBytes } from "node:crypto";
import { encodeUtf8 } from "../../base/bytes.ts";
import { codeOf, Failure } from "../../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import { addLabels, childLabels, digestOf, type Manifest, MEDIA } from "../images/manifest.ts";
import { normalizeReference } from "../images/reference.ts";
import type { Descriptor } from "../values.ts";
import { cleanName, type FoundImage, type ImportedBlob, type ImportOptions, type Unarchived } from "./import.ts";

export interface DockerManifest {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

const LINK_LIMIT = 16; // links from a layer's name to its file
const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

export async function dockerImages(
  manifests: readonly DockerManifest[],
  from: { files: Unarchived; content: ContentStore; options: ImportOptions },
): Promise<FoundImage[]> {
  if (!Array.isArray(manifests)) throw new Failure("invalid_argument", "manifest.json is not a list");
  const found: FoundImage[] = [];
  for (const entry of manifests) {
    if (typeof entry?.Config !== "string" || !Array.isArray(entry.Layers)) {
      throw new Failure("invalid_argument", "manifest.json names no config or layers");
    }
    const target = await makeManifest(entry, from.files, from.content);
    const names = (entry.RepoTags ?? []).map(normalizeReference);
    for (const name of names) found.push({ name, target });
    const { digestName, skipDigestForNamed } = from.options;
    if (digestName !== null && !(skipDigestForNamed && names.length > 0)) {
      found.push({ name: digestName(target.digest), target });
    }
  }
  return found;
}

async function makeManifest(entry: DockerManifest, files: Unarchived, content: ContentStore): Promise<Descriptor> {
  const config = locate(files, entry.Config);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.dockerManifest,
    config: { mediaType: MEDIA.dockerConfig, digest: config.digest, size: config.size },
    layers: entry.Layers.map((name) => {
      const blob = locate(files, name);
      return { mediaType: layerType(blob, name), digest: blob.digest, size: blob.size };
    }),
  };
  return writeDocument(content, { mediaType: MEDIA.dockerManifest, document: manifest, labels: childLabels(manifest) });
}

/** Writes a JSON document as a blob. One that is there gets the labels all the same. */
export async function writeDocument(
  content: ContentStore,
  what: { mediaType: string; document: unknown; labels: Record<string, string> | Readonly<Record<string, string>> },
): Promise<Descriptor> {
  const bytes = encodeUtf8(JSON.stringify(what.document));
  const descriptor = { mediaType: what.mediaType, digest: digestOf(bytes), size: bytes.length };
  try {
    const ref = `document-${randomBytes(6).toString("hex")}`;
    const writer = await content.writer(ref, { size: bytes.length, digest: descriptor.digest });
    // Content that another namespace has is offered as written already.
    await writer.write(bytes.subarray(writer.status.offset));
    await writer.commit({ size: bytes.length, digest: descriptor.digest, labels: what.labels });
  } catch (thrown) {
    if (codeOf(thrown) !== "already_exists") throw thrown;
    await addLabels(content, descriptor.digest, what.labels);
  }
  return descriptor;
}

/** `docker save` writes a layer that several images share once, and links to it elsewhere. */
function locate(files: Unarchived, path: string): ImportedBlob {
  let name = cleanName(path);
  for (let links = 0; links < LINK_LIMIT; links++) {
    const blob = files.blobs.get(name);
    if (blob !== undefined) return blob;
    const target = files.links.get(name);
    if (target === undefined) break;
    name = target;
  }
  throw new Failure("invalid_argument", `manifest.json names ${JSON.stringify(path)}, which is not in the archive`);
}

function layerType(blob: ImportedBlob, name: string): string {
  const begins = (mark: readonly number[]) => mark.every((byte, at) => blob.head[at] === byte);
  if (begins(GZIP) || /\.(gz|tgz)$/.test(name)) return MEDIA.dockerLayerGzip;
  if (begins(ZSTD)) return `${MEDIA.layer}+zstd`;
  return MEDIA.dockerLayer;
}
