// Images from an archive: a `docker save` file (manifest.json) or an OCI layout (index.json), as one tar stream.
//
//     tar ─▶ every file becomes a blob as it passes, hashed, never whole in memory
//         └▶ manifest.json | index.json ─▶ manifests with labels ─▶ images
//
// Works over the contracts, so ctr and dockerd share it, against our containerd or the original's. A lease keeps what
// has come in; when anything fails, the lease is deleted and with it everything that only this import brought.

import { createHash, randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { type Bytes, concatBytes } from "../../base/bytes.ts";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import type { ContentStore, ContentWriter } from "../content/content.ts";
import type { Image, ImageStore } from "../images/images.ts";
import { parseDocument } from "../images/manifest.ts";
import type { Nouns } from "../remote.ts";
import type { Descriptor, Labels } from "../values.ts";
import { type DockerManifest, dockerImages } from "./docker.ts";
import { layoutImages } from "./layout.ts";

const LEASE_HOURS = 24;
const DOCUMENT_LIMIT = 8 << 20; // bytes of manifest.json, index.json
const FILE_LIMIT = 65_536; // files in an archive
const PIECE = 1 << 20; // bytes gathered before they are written

export interface ImportOptions {
  /** What becomes of a reference that is only a tag; null leaves such an image out. */
  translate: (reference: string) => string | null;
  /** A further name by digest for each image; null for none. */
  digestName: ((digest: string) => string) | null;
  /** With digestName: only for images that have no other name. */
  skipDigestForNamed: boolean;
  /** A name for the index itself; empty for none. */
  indexName: string;
  labels: Labels;
}

/** A file of the archive that is in the content store now. */
export interface ImportedBlob {
  digest: string;
  size: number;
  /** Its first bytes, which tell a compressed layer; empty when the blob was there before. */
  head: Bytes;
}

/** What an archive leads to: an image per name. */
export interface FoundImage {
  name: string;
  target: Descriptor;
}

export interface Unarchived {
  blobs: Map<string, ImportedBlob>;
  /** Paths of links to other files of the archive. */
  links: Map<string, string>;
  documents: Map<string, Record<string, unknown>>;
}

/** Creates or moves the images that the archive names, and gives them. */
export async function importArchive(
  nouns: (lease: string | null) => Pick<Nouns, "content" | "images" | "leases">,
  archive: Readable,
  options: ImportOptions,
): Promise<Image[]> {
  const { leases } = nouns(null);
  const expire = new Date(Date.now() + LEASE_HOURS * 3_600_000).toISOString();
  const lease = await leases.create({ id: "", labels: { "containerd.io/gc.expire": expire } });
  try {
    const { content, images } = nouns(lease.id);
    const files = await unarchive(archive, content);
    const found = await findImages(files, content, options);
    if (found.length === 0) throw new Failure("invalid_argument", "the archive contains no image with a name");
    const stored: Image[] = [];
    for (const image of found) stored.push(await store(images, { ...image, labels: options.labels }));
    return stored;
  } finally {
    await leases.delete(lease.id, true).catch(() => {});
  }
}

async function findImages(files: Unarchived, content: ContentStore, options: ImportOptions): Promise<FoundImage[]> {
  const index = files.documents.get("index.json");
  if (files.documents.has("oci-layout") && index !== undefined) return layoutImages(index, content, options);
  const manifests = files.documents.get("manifest.json");
  if (manifests === undefined) {
    throw new Failure(
      "invalid_argument",
      "unrecognized image format: neither manifest.json nor index.json in the archive",
    );
  }
  return dockerImages(manifests as unknown as DockerManifest[], { files, content, options });
}

async function store(images: ImageStore, image: Pick<Image, "name" | "target" | "labels">): Promise<Image> {
  try {
    return await images.create(image);
  } catch (thrown) {
    if (codeOf(thrown) !== "already_exists") throw thrown;
    return images.update(image, ["target", ...Object.keys(image.labels).map((key) => `labels.${key}`)]);
  }
}

async function unarchive(archive: Readable, content: ContentStore): Promise<Unarchived> {
  const files: Unarchived = { blobs: new Map(), links: new Map(), documents: new Map() };
  const reader = extract();
  const fed = pipeline(archive, reader).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  try {
    let count = 0;
    for await (const entry of reader) {
      if (++count > FILE_LIMIT)
        throw new Failure("resource_exhausted", `the archive has more than ${FILE_LIMIT} files`);
      const name = cleanName(entry.header.name);
      const body = entry as unknown as AsyncIterable<Uint8Array>;
      const { type, linkname, size } = entry.header;
      if (type === "symlink" || type === "link") {
        const directory = type === "link" ? "" : name.slice(0, name.lastIndexOf("/") + 1);
        files.links.set(name, cleanName(directory + (linkname ?? "")));
      }
      if (type !== "file" && type !== "contiguous-file") entry.resume();
      else if (/^(manifest|index)\.json$|^oci-layout$/.test(name)) {
        files.documents.set(name, parseDocument(await whole(body, size ?? 0), name));
      } else files.blobs.set(name, await importBlob(content, name, body));
    }
  } catch (thrown) {
    throw readable((await settled(fed)) ?? thrown);
  }
  const broken = await fed;
  if (broken !== null) throw readable(broken);
  return files;
}

/** The stream's own failure comes first, if there is one by now. */
async function settled(fed: Promise<unknown>): Promise<unknown> {
  const failure = await Promise.race([fed, new Promise((resolve) => setTimeout(resolve, 10, null))]);
  return failure instanceof Failure || isOwn(failure) ? failure : null;
}

function isOwn(thrown: unknown): boolean {
  const code = (thrown as { code?: string } | null)?.code ?? "";
  return thrown instanceof Error && code !== "ERR_STREAM_PREMATURE_CLOSE" && code !== "ABORT_ERR";
}

function readable(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const reason = messageOf(thrown);
  if (/Unexpected end of data|unexpected end of file|Premature close/.test(reason)) {
    return new Failure("invalid_argument", "the archive is truncated: unexpected EOF", { cause: thrown });
  }
  if (/Invalid tar header|incorrect header check|invalid/i.test(reason)) {
    return new Failure("invalid_argument", `this is no image archive: ${reason}`, { cause: thrown });
  }
  return new Failure("unknown", `the archive cannot be read: ${reason}`, { cause: thrown });
}

/** "./a//b" and "a/b" are the same file; what leads out of the archive names nothing. */
export function cleanName(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

async function whole(entry: AsyncIterable<Uint8Array>, size: number): Promise<Bytes> {
  if (size > DOCUMENT_LIMIT)
    throw new Failure("resource_exhausted", `a document of the archive is larger than ${DOCUMENT_LIMIT} bytes`);
  const parts: Uint8Array[] = [];
  for await (const part of entry) parts.push(part);
  return concatBytes(parts);
}

/** A file whose path names its digest is skipped when the blob is there, and must have that digest when it is not. */
async function importBlob(
  content: ContentStore,
  name: string,
  entry: AsyncIterable<Uint8Array>,
): Promise<ImportedBlob> {
  const named = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name);
  const expected = named === null ? "" : `sha256:${named[1]}`;
  const ref = `import-${randomBytes(6).toString("hex")}-${name.slice(-128)}`;
  let writer: ContentWriter;
  try {
    writer = await content.writer(ref, { size: 0, digest: expected });
  } catch (thrown) {
    if (codeOf(thrown) !== "already_exists") throw thrown;
    let size = 0;
    for await (const part of entry) size += part.length;
    return { digest: expected, size, head: new Uint8Array(0) };
  }
  try {
    return await copyBlob(writer, entry, expected);
  } catch (thrown) {
    await writer.close();
    await content.abort(ref).catch(() => {});
    throw thrown;
  }
}

async function copyBlob(
  writer: ContentWriter,
  entry: AsyncIterable<Uint8Array>,
  expected: string,
): Promise<ImportedBlob> {
  const hash = createHash("sha256");
  let [size, held, head] = [0, 0, new Uint8Array(0)];
  let pieces: Uint8Array[] = [];
  // Content that another namespace has is offered as written already: then it is only hashed.
  let there = writer.status.offset;
  const flush = async (): Promise<void> => {
    if (held > 0) await writer.write(pieces.length === 1 ? pieces[0]! : concatBytes(pieces));
    pieces = [];
    held = 0;
  };
  for await (const part of entry) {
    if (head.length < 8) head = concatBytes([head, part.subarray(0, 8)]);
    hash.update(part);
    size += part.length;
    const fresh = part.subarray(Math.min(there, part.length));
    there -= part.length - fresh.length;
    held += fresh.length;
    pieces.push(fresh);
    if (held >= PIECE) await flush();
  }
  await flush();
  const digest = `sha256:${hash.digest("hex")}`;
  if (expected !== "" && digest !== expected) {
    throw new Failure("failed_precondition", `unexpected commit digest ${digest}, expected ${expected}`);
  }
  try {
    await writer.commit({ size, digest, labels: {} });
  } catch (thrown) {
    if (codeOf(thrown) !== "already_exists") throw thrown;
  }
  return { digest, size, head };
}
