// What an image's target leads to: index, manifest, config. Reading them from a content store, checked and bounded, and
// writing the labels that keep children alive. Used by import, unpack, export and by whoever shows an image.

import { createHash } from "node:crypto";
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { codeOf, Failure } from "../../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import type { Descriptor, Labels } from "../values.ts";

export const MEDIA = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
} as const;

export interface Manifest {
  schemaVersion: 2;
  mediaType?: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Labels;
}

export interface Index {
  schemaVersion: 2;
  mediaType?: string;
  manifests: Descriptor[];
  annotations?: Labels;
}

/** The parts of an image's config that this side reads; the rest is for whoever makes a spec of it. */
export interface ImageConfig {
  architecture: string;
  os: string;
  variant?: string;
  created?: string;
  config?: {
    User?: string;
    Env?: string[] | null;
    Entrypoint?: string[] | null;
    Cmd?: string[] | null;
    WorkingDir?: string;
    Labels?: Record<string, string> | null;
    Volumes?: Record<string, unknown> | null;
    ExposedPorts?: Record<string, unknown> | null;
    StopSignal?: string;
    Healthcheck?: unknown;
  };
  rootfs: { type: string; diff_ids: string[] };
  history?: { created?: string; created_by?: string; empty_layer?: boolean; comment?: string }[];
}

const DOCUMENT_LIMIT = 8 << 20; // bytes of an index, manifest or config
const CHILD_LIMIT = 1024; // manifests of an index, layers of a manifest

export function isIndex(mediaType: string): boolean {
  return mediaType === MEDIA.index || mediaType === MEDIA.dockerList;
}

export function isManifest(mediaType: string): boolean {
  return mediaType === MEDIA.manifest || mediaType === MEDIA.dockerManifest;
}

export async function readBlob(content: ContentStore, digest: string, limit = DOCUMENT_LIMIT): Promise<Bytes> {
  const parts: Bytes[] = [];
  let size = 0;
  for await (const piece of content.read(digest, { offset: 0, size: null })) {
    size += piece.length;
    if (size > limit) throw new Failure("resource_exhausted", `${digest} is larger than ${limit} bytes`);
    parts.push(piece);
  }
  return concatBytes(parts);
}

export async function readDocument(content: ContentStore, digest: string): Promise<Record<string, unknown>> {
  return parseDocument(await readBlob(content, digest), digest);
}

export function parseDocument(bytes: Uint8Array, name: string): Record<string, unknown> {
  try {
    const document = JSON.parse(decodeUtf8(bytes)) as unknown;
    if (typeof document === "object" && document !== null) return document as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new Failure("invalid_argument", `${name} is not a JSON document`);
}

/** A document that could be read as an index by one and as a manifest by another is refused (GHSA-5j5w-g665-5m35). */
export async function readManifest(content: ContentStore, target: Descriptor): Promise<Manifest> {
  const document = await readDocument(content, target.digest);
  if ("manifests" in document) throw invalid(target, "a manifest has a list of manifests");
  const manifest = document as unknown as Manifest;
  if (!isDescriptor(manifest.config) || !Array.isArray(manifest.layers)) throw invalid(target, "no config or layers");
  if (manifest.layers.length > CHILD_LIMIT || !manifest.layers.every(isDescriptor)) throw invalid(target, "bad layers");
  return manifest;
}

export async function readIndex(content: ContentStore, target: Descriptor): Promise<Index> {
  return checkIndex(await readDocument(content, target.digest), target.digest);
}

export function checkIndex(document: Record<string, unknown>, name: string): Index {
  if ("config" in document || "layers" in document) {
    throw new Failure("invalid_argument", `${name}: an index has a config or layers`);
  }
  const index = document as unknown as Index;
  if (!Array.isArray(index.manifests) || index.manifests.length > CHILD_LIMIT || !index.manifests.every(isDescriptor)) {
    throw new Failure("invalid_argument", `${name}: not a list of manifests`);
  }
  return index;
}

export async function readConfig(content: ContentStore, manifest: Manifest): Promise<ImageConfig> {
  const config = (await readDocument(content, manifest.config.digest)) as unknown as ImageConfig;
  if (!Array.isArray(config.rootfs?.diff_ids)) throw invalid(manifest.config, "the config names no layers");
  return config;
}

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** The manifest of this platform behind a target; not_found when there is none. */
export async function resolveManifest(
  content: ContentStore,
  target: Descriptor,
  platform: Platform,
): Promise<{ target: Descriptor; manifest: Manifest }> {
  if (!isIndex(target.mediaType)) return { target, manifest: await readManifest(content, target) };
  const index = await readIndex(content, target);
  for (const child of index.manifests) {
    if (child.platform !== undefined && !matches(child.platform, platform)) continue;
    try {
      return await resolveManifest(content, child, platform);
    } catch (thrown) {
      if (codeOf(thrown) !== "not_found") throw thrown;
    }
  }
  throw new Failure("not_found", `no match for platform in manifest ${target.digest}: not found`);
}

export function matches(offered: Platform, wanted: Platform): boolean {
  return offered.os === wanted.os && offered.architecture === wanted.architecture;
}

/** This machine's platform in Go's words. */
export function hostPlatform(): Platform {
  const architectures: Record<string, string> = { x64: "amd64", ia32: "386" };
  return { os: "linux", architecture: architectures[process.arch] ?? process.arch };
}

/** The name of each snapshot of an image: the digest over all diff ids up to it. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(encodeUtf8(`${below} ${diffId}`)));
  }
  return chain;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The labels by which garbage collection goes from a document to its children. */
export function childLabels(children: {
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
}): Labels {
  const labels: Record<string, string> = {};
  const prefix = "containerd.io/gc.ref.content";
  if (children.config !== undefined) labels[`${prefix}.config`] = children.config.digest;
  children.layers?.forEach((layer, at) => {
    labels[`${prefix}.l.${at}`] = layer.digest;
  });
  children.manifests?.forEach((manifest, at) => {
    labels[`${prefix}.m.${at}`] = manifest.digest;
  });
  return labels;
}

/** Adds labels to content that is there. */
export async function addLabels(content: ContentStore, digest: string, labels: Labels): Promise<void> {
  const fields = Object.keys(labels).map((key) => `labels.${key}`);
  if (fields.length > 0) await content.update({ digest, labels }, fields);
}

function isDescriptor(value: unknown): value is Descriptor {
  const descriptor = value as Descriptor | null;
  if (typeof descriptor !== "object" || descriptor === null) return false;
  return (
    typeof descriptor.mediaType === "string" && /^sha256:[0-9a-f]{64}$/.test(descriptor.digest) && descriptor.size >= 0
  );
}

function invalid(target: Descriptor, reason: string): Failure {
  return new Failure("invalid_argument", `${target.digest} is not a valid image document: ${reason}`);
}
