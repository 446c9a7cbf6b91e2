// POST /images/load: an archive of `docker save` (old or new) or an OCI layout, perhaps compressed. Blobs go to the
// content store while the archive is read; names are given at the very end, so that a broken archive leaves nothing.

import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Descriptor } from "../../../core/values.ts";
import type { Engine } from "../engine.ts";
import { nameImage } from "./change.ts";
import { type ConfigDocument, danglingName, isIndex, readBlob, readFacts } from "./images.ts";
import { familiarName, parseTagged, storeName } from "./reference.ts";
import { isThere, labelReferences, writeBlob, writeDocument } from "./store.ts";
import { ensureUnpacked, withLease } from "./unpack.ts";

/** Bytes of one of the small documents, and entries of one archive. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;
const MAX_ENTRIES = 100_000;

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";

interface Archive {
  /** Path in the archive to its blob. */
  blobs: Map<string, { digest: string; size: number; start: Uint8Array }>;
  /** Links of old archives: a layer that is there twice. */
  links: Map<string, string>;
  index: OciIndex | null;
  manifests: DockerManifest[] | null;
}

interface OciIndex {
  manifests?: Descriptor[];
}

interface DockerManifest {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

export interface LoadedImage {
  /** Full name; null when the archive gives none. */
  name: string | null;
  target: Descriptor;
}

/** `told` hears of each image as it is there. */
export async function loadImages(
  engine: Engine,
  body: AsyncIterable<Uint8Array>,
  told: (image: LoadedImage) => Promise<void>,
): Promise<void> {
  await withLease(engine.containerd, async (leased) => {
    const archive = await readArchive(leased.content, body);
    const images = await findImages(leased.content, archive);
    if (images.length === 0) {
      throw new Failure(
        "invalid_argument",
        "the archive holds no image: neither manifest.json nor index.json was found",
      );
    }
    for (const { target } of images) {
      await labelReferences(leased.content, target);
      await ensureUnpacked(leased, engine.images, await readFacts(leased.content, target));
    }
    for (const image of images) {
      if (image.name !== null) await nameImage(engine, image.name, image.target);
      else await nameImage(engine, danglingName(image.target.digest), image.target).catch(() => {});
      const name = image.name === null ? image.target.digest : familiarName(image.name);
      engine.events.emit("image", "load", { id: image.target.digest, attributes: { name } });
      await told(image);
    }
  });
}

async function readArchive(content: ContentStore, body: AsyncIterable<Uint8Array>): Promise<Archive> {
  const archive: Archive = { blobs: new Map(), links: new Map(), index: null, manifests: null };
  const parser = extract();
  const feed = (async () => {
    try {
      for await (const piece of Readable.from(await decompressed(body))) {
        if (!parser.write(piece)) await new Promise<void>((resolve) => parser.once("drain", () => resolve()));
      }
      parser.end(null as never);
    } catch (thrown) {
      parser.destroy(thrown as Error);
    }
  })();
  let entries = 0;
  try {
    for await (const entry of parser) {
      if (++entries > MAX_ENTRIES)
        throw new Failure("invalid_argument", `the archive has more than ${MAX_ENTRIES} entries`);
      await takeEntry(content, archive, entry as unknown as TarEntry);
    }
    await feed;
  } catch (thrown) {
    parser.destroy();
    if (thrown instanceof Failure) throw thrown;
    const words = /Unexpected end of data/.test(messageOf(thrown)) ? "unexpected EOF" : messageOf(thrown);
    throw new Failure("invalid_argument", `cannot read the image archive: ${words}`, { cause: thrown });
  }
  return archive;
}

type TarEntry = AsyncIterable<Uint8Array> & { header: Header; resume(): void };

async function takeEntry(content: ContentStore, archive: Archive, entry: TarEntry): Promise<void> {
  const { header } = entry;
  const name = header.name.replace(/^\.\//, "");
  if (header.type === "symlink" || header.type === "link") {
    archive.links.set(name, linkTarget(name, header));
    return entry.resume();
  }
  const unwanted =
    header.type !== "file" || ["oci-layout", "repositories"].includes(name) || /(^|\/)(VERSION|json)$/.test(name);
  if (unwanted) return entry.resume();
  if (name === "manifest.json") archive.manifests = (await smallJson(entry)) as DockerManifest[];
  else if (name === "index.json") archive.index = (await smallJson(entry)) as OciIndex;
  else {
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
    const expected = hex === undefined ? null : `sha256:${hex}`;
    const start = new StartKeeper();
    const { digest, size } = await writeBlob(content, start.through(entry), expected);
    archive.blobs.set(name, { digest, size, start: start.bytes });
  }
}

/** Relative to the folder it stands in for symlinks, to the archive for hard links. Only used as a key of a map. */
function linkTarget(name: string, header: Header): string {
  const target = header.linkname ?? "";
  if (header.type === "link") return target;
  const parts = name.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

class StartKeeper {
  bytes: Uint8Array = new Uint8Array(0);

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      if (this.bytes.length < 4) this.bytes = Buffer.concat([this.bytes, piece.subarray(0, 4 - this.bytes.length)]);
      yield piece;
    }
  }
}

async function smallJson(entry: AsyncIterable<Uint8Array> & { header: Header }): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of entry) {
    length += piece.length;
    if (length > MAX_DOCUMENT_BYTES) throw new Failure("invalid_argument", `${entry.header.name} is too large`);
    pieces.push(piece);
  }
  try {
    return JSON.parse(decodeUtf8(Buffer.concat(pieces)));
  } catch (cause) {
    throw new Failure("invalid_argument", `${entry.header.name} is no JSON document`, { cause });
  }
}

async function findImages(content: ContentStore, archive: Archive): Promise<LoadedImage[]> {
  if (archive.index !== null) return imagesOfIndex(content, archive.index, archive.manifests);
  if (archive.manifests === null) return [];
  if (!Array.isArray(archive.manifests)) throw new Failure("invalid_argument", "manifest.json is no list");
  const images: LoadedImage[] = [];
  for (const manifest of archive.manifests) images.push(...(await imageOfManifest(content, archive, manifest)));
  return images;
}

async function imagesOfIndex(
  content: ContentStore,
  index: OciIndex,
  manifests: DockerManifest[] | null,
): Promise<LoadedImage[]> {
  const images: LoadedImage[] = [];
  for (const entry of index.manifests ?? []) {
    if (typeof entry.digest !== "string" || !(await isThere(content, entry.digest))) {
      throw new Failure("invalid_argument", `the archive lacks the blob ${entry.digest}`);
    }
    const target = { mediaType: entry.mediaType, digest: entry.digest, size: entry.size };
    const full = entry.annotations?.["io.containerd.image.name"];
    const names = full === undefined ? await namesOf(content, target, manifests) : [full];
    if (names.length === 0) images.push({ name: null, target });
    for (const name of names) images.push({ name: storeName(parseTagged(name)), target });
  }
  return images;
}

/** Without a name in index.json the one of manifest.json counts, found by its configuration. */
async function namesOf(
  content: ContentStore,
  target: Descriptor,
  manifests: DockerManifest[] | null,
): Promise<string[]> {
  if (manifests === null || isIndex(target.mediaType)) return [];
  const { config } = JSON.parse(decodeUtf8(await readBlob(content, target.digest))) as { config?: Descriptor };
  const hex = config?.digest.slice("sha256:".length) ?? "?";
  return manifests.find((manifest) => manifest.Config.includes(hex))?.RepoTags ?? [];
}

async function imageOfManifest(
  content: ContentStore,
  archive: Archive,
  manifest: DockerManifest,
): Promise<LoadedImage[]> {
  const blob = (name: string) => {
    const found = archive.blobs.get(name) ?? archive.blobs.get(archive.links.get(name) ?? "");
    if (found === undefined)
      throw new Failure("invalid_argument", `the archive lacks ${name}, which manifest.json names`);
    return found;
  };
  if (typeof manifest?.Config !== "string" || !Array.isArray(manifest.Layers)) {
    throw new Failure("invalid_argument", "manifest.json does not describe an image");
  }
  const config = blob(manifest.Config);
  const document = JSON.parse(decodeUtf8(await readBlob(content, config.digest))) as ConfigDocument;
  const layers = manifest.Layers.map((name) => {
    const { digest, size, start } = blob(name);
    return { mediaType: LAYER_TYPE + compression(start), digest, size };
  });
  if ((document.rootfs?.diff_ids ?? []).length !== layers.length) {
    const expected = document.rootfs?.diff_ids?.length ?? 0;
    const words = `invalid manifest, layers length mismatch: expected ${expected}, got ${layers.length}`;
    throw new Failure("invalid_argument", words);
  }
  const target = await writeDocument(content, MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: config.digest, size: config.size },
    layers,
  });
  const names = manifest.RepoTags ?? [];
  if (names.length === 0) return [{ name: null, target }];
  return names.map((name) => ({ name: storeName(parseTagged(name)), target }));
}

export function compression(start: Uint8Array): "" | "+gzip" | "+zstd" {
  if (start[0] === 0x1f && start[1] === 0x8b) return "+gzip";
  if (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd) return "+zstd";
  return "";
}

/** Takes gzip and zstd off; xz and bzip2 are refused by name. */
export async function decompressed(body: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const source = body[Symbol.asyncIterator]();
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < 6) {
    const step = await source.next();
    if (step.done === true) break;
    start = Buffer.concat([start, step.value]);
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    if (start.length > 0) yield start;
    for (;;) {
      const step = await source.next();
      if (step.done === true) return;
      yield step.value;
    }
  }
  const kind = compression(start);
  if (Buffer.from(start).toString("latin1").startsWith("\xfd7zXZ")) throw unsupported("xz");
  if (Buffer.from(start).toString("latin1").startsWith("BZh")) throw unsupported("bzip2");
  if (kind === "") return whole();
  const decoder = kind === "+gzip" ? createGunzip() : createZstdDecompress();
  const input = Readable.from(whole());
  input.on("error", (error) => decoder.destroy(error));
  return input.pipe(decoder);
}

function unsupported(name: string): Failure {
  return new Failure("invalid_argument", `archives compressed with ${name} are not supported; decompress it first`);
}
