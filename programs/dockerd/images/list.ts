// GET /images/json. With the containerd image store an image's id is the digest its name points to.

import type { ImageSummary, ManifestSummary } from "../../../api/engine/image.ts";
import { messageOf } from "../../../base/errors.ts";
import type { Image } from "../../../core/images/images.ts";
import type { Descriptor } from "../../../core/values.ts";
import { untilOf } from "../containers/prune.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../serve/engine/filters.ts";
import { type ImageFacts, isIndex, readDocument, repoNames } from "./images.ts";

export const IMAGE_FILTERS = ["before", "dangling", "label", "label!", "reference", "since", "until"];

export interface ImageListOptions {
  all: boolean;
  filters: Filters;
  manifests: boolean;
  sharedSize: boolean;
}

export async function listImages(engine: Engine, options: ImageListOptions): Promise<ImageSummary[]> {
  const { filters } = options;
  const created = async (name: string) => {
    const found = await engine.images.find(name);
    return createdOf(await engine.images.facts(found.records[0]!.target));
  };
  const before = await Promise.all(filters.get("before").map(created));
  const since = await Promise.all(filters.get("since").map(created));
  const until = untilOf(filters, engine.clock.now());
  const dangling = filters.flag("dangling");
  const summaries: ImageSummary[] = [];
  for (const [, records] of await engine.images.grouped()) {
    let facts: ImageFacts;
    try {
      facts = await engine.images.facts(records[0]!.target);
    } catch (thrown) {
      engine.log.debug(`image ${records[0]!.name} is left out of the list: ${messageOf(thrown)}`);
      continue;
    }
    const time = createdOf(facts);
    const { tags } = repoNames(records);
    if (dangling !== null && dangling !== (tags.length === 0)) continue;
    if (!before.every((other) => time < other) || !since.every((other) => time > other)) continue;
    if (until !== null && time * 1000 > until) continue;
    const labels = facts.document.config?.Labels ?? {};
    if (!filters.labels(labels) || !filters.withoutLabels(labels)) continue;
    if (!filters.some("reference", (pattern) => tags.some((tag) => matches(pattern, tag)))) continue;
    summaries.push(await summary(engine, { records, facts }, options));
  }
  return summaries.toSorted((a, b) => b.Created - a.Created);
}

/** "busybox", "busybox:*", "lib*\/x": with or without the tag. */
function matches(pattern: string, tag: string): boolean {
  const shape = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, "[^/]*")
    .replace(/\?/g, "[^/]");
  const whole = new RegExp(`^${shape}$`);
  return whole.test(tag) || whole.test(tag.slice(0, tag.lastIndexOf(":")));
}

/** Seconds since 1970; 0 when the image does not say. */
export function createdOf(facts: ImageFacts): number {
  const time = Date.parse(facts.document.created ?? "");
  return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
}

async function summary(
  engine: Engine,
  image: { records: Image[]; facts: ImageFacts },
  options: ImageListOptions,
): Promise<ImageSummary> {
  const { records, facts } = image;
  const { tags, digests } = repoNames(records);
  const content = contentSize(facts);
  const unpacked = await unpackedSize(engine, facts);
  const users = engine.containers.all().filter((container) => container.record.imageId === facts.target.digest);
  return {
    Id: facts.target.digest,
    ParentId: "",
    RepoTags: tags,
    RepoDigests: digests,
    Created: createdOf(facts),
    Size: content + unpacked,
    SharedSize: options.sharedSize ? 0 : -1,
    Labels: facts.document.config?.Labels ?? null,
    Containers: users.length,
    Descriptor: wireDescriptor(facts.target),
    ...(options.manifests ? { Manifests: await manifestList(engine, facts, { content, unpacked }) } : {}),
  };
}

export function contentSize(facts: ImageFacts): number {
  return [facts.manifest, facts.config, ...facts.layers].reduce((sum, part) => sum + part.size, 0);
}

export async function unpackedSize(engine: Engine, facts: ImageFacts): Promise<number> {
  let total = 0;
  const { snapshots } = engine.containerd;
  for (let name = facts.chainId; name !== ""; ) {
    const [usage, info] = await Promise.all([
      snapshots.usage(name).catch(() => null),
      snapshots.stat(name).catch(() => null),
    ]);
    total += usage?.size ?? 0;
    name = info?.parent ?? "";
  }
  return total;
}

export function wireDescriptor(descriptor: Descriptor): NonNullable<ImageSummary["Descriptor"]> {
  const { mediaType, digest, size, platform } = descriptor;
  return { mediaType, digest, size, ...(platform === undefined ? {} : { platform }) };
}

export async function manifestList(
  engine: Engine,
  facts: ImageFacts,
  sizes: { content: number; unpacked: number },
): Promise<ManifestSummary[]> {
  const { content } = engine.containerd;
  const index = isIndex(facts.target.mediaType)
    ? ((await readDocument<{ manifests?: Descriptor[] }>(content, facts.target)).manifests ?? [])
    : [facts.manifest];
  const { architecture = "amd64", os = "linux", variant } = facts.document;
  const list: ManifestSummary[] = [];
  for (const descriptor of index) {
    const chosen = descriptor.digest === facts.manifest.digest;
    const available =
      chosen ||
      (await content.info(descriptor.digest).then(
        () => true,
        () => false,
      ));
    const reference = descriptor.annotations?.["vnd.docker.reference.digest"];
    const users = engine.containers.all().filter((container) => container.record.manifestDigest === descriptor.digest);
    const own = chosen ? sizes : { content: available ? descriptor.size : 0, unpacked: 0 };
    const platform = descriptor.platform ?? { os, architecture, ...(variant === undefined ? {} : { variant }) };
    list.push({
      ID: descriptor.digest,
      Descriptor: wireDescriptor({ ...descriptor, platform }),
      Available: available,
      Kind: reference === undefined ? "image" : "attestation",
      Size: { Total: own.content + own.unpacked, Content: own.content },
      ...(reference === undefined
        ? {
            ImageData: { Platform: platform, Containers: users.map((one) => one.id), Size: { Unpacked: own.unpacked } },
          }
        : { AttestationData: { For: reference } }),
    });
  }
  return list;
}
