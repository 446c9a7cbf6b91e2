// Images as dockerd sees them: names and digests in containerd's store, and what their configuration says. Nothing of
// an image is kept here but a cache of what can never change (a digest's manifest and configuration).

import { createHash } from "node:crypto";
import type { ImageConfig } from "../../../api/engine/image.ts";
import { NO_SUCH } from "../../../api/engine/messages.ts";
import { type Bytes, concatBytes, decodeUtf8 } from "../../../base/bytes.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Image } from "../../../core/images/images.ts";
import type { Descriptor } from "../../../core/values.ts";
import type { Containerd } from "../call/containerd/containerd.ts";
import { familiarName, parseReference, parseTagged, splitStoreName, storeName } from "./reference.ts";

/** Bytes of a manifest, an index or a configuration that are read. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;
/** Images whose facts are kept. */
const MAX_CACHED = 512;

export interface HistoryEntry {
  created?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
  author?: string;
}

export interface ConfigDocument {
  created?: string;
  author?: string;
  architecture?: string;
  variant?: string;
  os?: string;
  config?: ImageConfig | null;
  rootfs?: { type?: string; diff_ids?: string[] };
  history?: HistoryEntry[];
}

export interface ImageFacts {
  /** What the name points to: an index or a manifest. */
  target: Descriptor;
  manifest: Descriptor;
  config: Descriptor;
  layers: Descriptor[];
  document: ConfigDocument;
  /** The snapshot of the whole image. */
  chainId: string;
}

export interface FoundImage {
  /** The name it was found by, or its digest. */
  name: string;
  digest: string;
  /** All records that point to the digest. */
  records: Image[];
}

export class Images {
  readonly #containerd: () => Containerd;
  readonly #facts = new Map<string, ImageFacts>();
  /** Chain ids known to be unpacked. */
  readonly unpacked = new Set<string>();

  constructor(containerd: () => Containerd) {
    this.#containerd = containerd;
  }

  list(): Promise<Image[]> {
    return this.#containerd().images.list([]);
  }

  /** By name, by digest, or by the beginning of one. Throws not_found with the words that make a client pull. */
  async find(text: string): Promise<FoundImage> {
    const byName = await this.#findByName(text);
    if (byName !== null) return byName;
    const prefix = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(text)?.[1];
    if (prefix !== undefined) {
      const all = await this.list();
      const digests = new Set(
        all.map((image) => image.target.digest).filter((one) => one.startsWith(`sha256:${prefix}`)),
      );
      if (digests.size > 1) throw new Failure("invalid_argument", `multiple IDs found with provided prefix: ${text}`);
      const [digest] = digests;
      if (digest !== undefined) {
        return { name: digest, digest, records: all.filter((image) => image.target.digest === digest) };
      }
    }
    throw noSuchImage(text);
  }

  /** Only the record of this very name; null when there is none. Cheaper than find. */
  async record(text: string): Promise<Image | null> {
    try {
      return await this.#containerd().images.get(storeName(parseTagged(text)));
    } catch (thrown) {
      if (codeOf(thrown) === "not_found") return null;
      throw thrown;
    }
  }

  async #findByName(text: string): Promise<FoundImage | null> {
    let reference: ReturnType<typeof parseTagged>;
    try {
      reference = parseTagged(text);
    } catch (thrown) {
      if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text)) return null;
      throw thrown;
    }
    const images = this.#containerd().images;
    if (reference.digest === null) {
      const image = await images.get(storeName(reference)).catch(nothing);
      return image === null ? null : { name: image.name, digest: image.target.digest, records: [image] };
    }
    const all = await this.list();
    const records = all.filter((image) => {
      const held = splitStoreName(image.name);
      return image.target.digest === reference.digest && held?.repository === reference.repository;
    });
    return records.length === 0 ? null : { name: records[0]!.name, digest: reference.digest, records };
  }

  async facts(target: Descriptor): Promise<ImageFacts> {
    const held = this.#facts.get(target.digest);
    if (held !== undefined) return held;
    const facts = await readFacts(this.#containerd().content, target);
    if (this.#facts.size >= MAX_CACHED) this.#facts.delete(this.#facts.keys().next().value!);
    this.#facts.set(target.digest, facts);
    return facts;
  }

  /** For each digest its records: dangling ones (named by their digest) count as none. */
  async grouped(): Promise<Map<string, Image[]>> {
    const groups = new Map<string, Image[]>();
    for (const image of await this.list()) {
      const group = groups.get(image.target.digest);
      if (group === undefined) groups.set(image.target.digest, [image]);
      else group.push(image);
    }
    return groups;
  }
}

export function noSuchImage(text: string): Failure {
  let name = text;
  try {
    const reference = parseReference(text);
    if (reference.tag === null && reference.digest === null && !/^[0-9a-f]{64}$/.test(text)) name = `${text}:latest`;
  } catch {
    // A digest or an id: shown as it was given.
  }
  return new Failure("not_found", NO_SUCH.image(familiarName(name)));
}

const DANGLING = "moby-dangling@";

/** The name of a record that keeps an image without a name. */
export function danglingName(digest: string): string {
  return `${DANGLING}${digest}`;
}

export function isDangling(name: string): boolean {
  return name.startsWith(DANGLING);
}

/** RepoTags and RepoDigests of the records that point to one digest. */
export function repoNames(records: readonly Image[]): { tags: string[]; digests: string[] } {
  const tags: string[] = [];
  const digests: string[] = [];
  for (const { name, target } of records) {
    const reference = isDangling(name) ? null : splitStoreName(name);
    if (reference === null) continue;
    const repository = familiarName(reference.repository);
    if (reference.tag !== null && reference.digest === null) tags.push(`${repository}:${reference.tag}`);
    const digest = `${repository}@${target.digest}`;
    if (!digests.includes(digest)) digests.push(digest);
  }
  return { tags: tags.toSorted(), digests: digests.toSorted() };
}

export async function readFacts(content: ContentStore, target: Descriptor): Promise<ImageFacts> {
  const manifest = await chooseManifest(content, target);
  const document = await readDocument<{ config?: Descriptor; layers?: Descriptor[] }>(content, manifest);
  if (document.config === undefined || !Array.isArray(document.layers)) {
    throw new Failure("invalid_argument", `${manifest.digest} is not an image manifest`);
  }
  const config = await readDocument<ConfigDocument>(content, document.config);
  const diffIds = config.rootfs?.diff_ids ?? [];
  return {
    target,
    manifest,
    config: document.config,
    layers: document.layers,
    document: config,
    chainId: chainIds(diffIds).at(-1) ?? "",
  };
}

/** Each layer's name as a snapshot: of the first its diff id, then the hash of the chain so far and the next one. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(
      parent === undefined ? diffId : `sha256:${createHash("sha256").update(`${parent} ${diffId}`).digest("hex")}`,
    );
  }
  return chain;
}

export function isIndex(mediaType: string): boolean {
  return (
    mediaType === "application/vnd.oci.image.index.v1+json" ||
    mediaType === "application/vnd.docker.distribution.manifest.list.v2+json"
  );
}

async function chooseManifest(content: ContentStore, target: Descriptor): Promise<Descriptor> {
  if (!isIndex(target.mediaType)) return target;
  const index = await readDocument<{ manifests?: Descriptor[] }>(content, target);
  const manifests = index.manifests ?? [];
  const fits = (one: Descriptor) => one.platform?.os === "linux" && one.platform.architecture === "amd64";
  const unstated = (one: Descriptor) => one.platform === undefined;
  const chosen = manifests.find(fits) ?? manifests.find(unstated);
  if (chosen !== undefined) return chosen;
  throw new Failure("not_found", `no match for platform in manifest: not found (${target.digest})`);
}

export async function readDocument<T>(content: ContentStore, descriptor: Descriptor): Promise<T> {
  const bytes = await readBlob(content, descriptor.digest);
  try {
    return JSON.parse(decodeUtf8(bytes)) as T;
  } catch (cause) {
    throw new Failure("data_loss", `blob ${descriptor.digest} is no JSON document`, { cause });
  }
}

export async function readBlob(content: ContentStore, digest: string): Promise<Bytes> {
  const pieces: Bytes[] = [];
  let length = 0;
  for await (const piece of content.read(digest)) {
    length += piece.length;
    if (length > MAX_DOCUMENT_BYTES)
      throw new Failure("resource_exhausted", `blob ${digest} is larger than a document`);
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0]! : concatBytes(pieces);
}

function nothing(thrown: unknown): null {
  if (codeOf(thrown) === "not_found") return null;
  throw thrown;
}
