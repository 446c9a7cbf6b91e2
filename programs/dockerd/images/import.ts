// POST /images/create with fromSrc=-: a root file system as a tar archive becomes an image of one layer.

import { createHash } from "node:crypto";
import type { ImageConfig } from "../../../api/engine/image.ts";
import { Failure } from "../../../base/errors.ts";
import type { Descriptor } from "../../../core/values.ts";
import { nowText } from "../containers/record.ts";
import type { Engine } from "../engine.ts";
import { nameImage } from "./change.ts";
import { applyChanges } from "./changes.ts";
import { danglingName, readFacts } from "./images.ts";
import { decompressed } from "./load.ts";
import { familiarName, parseTagged, storeName } from "./reference.ts";
import { labelReferences, writeBlob, writeDocument } from "./store.ts";
import { ensureUnpacked, withLease } from "./unpack.ts";

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";

export interface ImportRequest {
  body: AsyncIterable<Uint8Array>;
  /** "" leaves the image without a name. */
  repository: string;
  tag: string;
  message: string;
  /** Dockerfile instructions. */
  changes: readonly string[];
}

/** The digest of the new image. */
export async function importImage(engine: Engine, request: ImportRequest): Promise<string> {
  const name = request.repository === "" ? null : nameOf(request);
  const config: ImageConfig = applyChanges({}, request.changes);
  return withLease(engine.containerd, async (leased) => {
    const { content } = leased;
    const hash = createHash("sha256");
    const plain = await decompressed(request.body);
    async function* hashed(): AsyncGenerator<Uint8Array> {
      for await (const piece of plain) {
        hash.update(piece);
        yield piece;
      }
    }
    const layer = await writeBlob(content, hashed(), null);
    if (layer.size === 0) throw new Failure("invalid_argument", "the archive to import is empty");
    const created = nowText();
    const history = { created, comment: request.message || `Imported from -` };
    const configuration = await writeDocument(content, CONFIG_TYPE, {
      created,
      architecture: "amd64",
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: [`sha256:${hash.digest("hex")}`] },
      history: [history],
    });
    const target: Descriptor = await writeDocument(content, MANIFEST_TYPE, {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: configuration,
      layers: [{ mediaType: LAYER_TYPE, digest: layer.digest, size: layer.size }],
    });
    await labelReferences(content, target);
    await ensureUnpacked(leased, engine.images, await readFacts(content, target));
    await nameImage(engine, name ?? danglingName(target.digest), target);
    const shown = name === null ? target.digest : familiarName(name);
    engine.events.emit("image", "import", { id: target.digest, attributes: { name: shown } });
    return target.digest;
  });
}

function nameOf(request: ImportRequest): string {
  const reference = parseTagged(request.tag === "" ? request.repository : `${request.repository}:${request.tag}`);
  if (reference.digest !== null) throw new Failure("invalid_argument", "cannot import digest reference");
  return storeName(reference);
}
