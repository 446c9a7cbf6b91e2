// GET /images/{name}/json and /history.

import type { ImageHistoryItem, ImageInspect } from "../../../api/engine/image.ts";
import { formatTime } from "../containers/record.ts";
import type { Engine } from "../engine.ts";
import { chainIds, type FoundImage, repoNames } from "./images.ts";
import { contentSize, manifestList, unpackedSize, wireDescriptor } from "./list.ts";

export async function inspectImage(engine: Engine, found: FoundImage, manifests: boolean): Promise<ImageInspect> {
  const records = (await engine.images.grouped()).get(found.digest) ?? found.records;
  const facts = await engine.images.facts(found.records[0]!.target);
  const { tags, digests } = repoNames(records);
  const { document } = facts;
  const sizes = { content: contentSize(facts), unpacked: await unpackedSize(engine, facts) };
  const tagged = Math.max(...records.map((record) => record.updatedAt));
  return {
    Id: found.digest,
    RepoTags: tags,
    RepoDigests: digests,
    Parent: "",
    Comment: document.history?.at(-1)?.comment ?? "",
    ...(document.created === undefined ? {} : { Created: document.created }),
    DockerVersion: "",
    Author: document.author ?? "",
    Config: document.config ?? null,
    Architecture: document.architecture ?? "",
    ...(document.variant === undefined ? {} : { Variant: document.variant }),
    Os: document.os ?? "",
    Size: sizes.content + sizes.unpacked,
    GraphDriver: { Name: engine.containerd.snapshotter, Data: null },
    RootFS: { Type: "layers", Layers: document.rootfs?.diff_ids ?? [] },
    Metadata: { LastTagTime: formatTime(Math.floor(tagged)) },
    Descriptor: wireDescriptor(facts.target),
    ...(manifests ? { Manifests: await manifestList(engine, facts, sizes) } : {}),
  };
}

export async function imageHistory(engine: Engine, found: FoundImage): Promise<ImageHistoryItem[]> {
  const facts = await engine.images.facts(found.records[0]!.target);
  const chain = chainIds(facts.document.rootfs?.diff_ids ?? []);
  const { tags } = repoNames((await engine.images.grouped()).get(found.digest) ?? []);
  const items: ImageHistoryItem[] = [];
  let layer = 0;
  for (const entry of facts.document.history ?? []) {
    let size = 0;
    if (entry.empty_layer !== true) {
      const name = chain[layer++];
      const usage = name === undefined ? null : await engine.containerd.snapshots.usage(name).catch(() => null);
      size = usage?.size ?? 0;
    }
    items.push({
      Id: "<missing>",
      Created: Math.floor((Date.parse(entry.created ?? "") || 0) / 1000),
      CreatedBy: entry.created_by ?? "",
      Tags: null,
      Size: size,
      Comment: entry.comment ?? "",
    });
  }
  items.reverse();
  const newest = items[0];
  if (newest !== undefined) {
    newest.Id = found.digest;
    newest.Tags = tags.length === 0 ? null : tags;
  }
  return items;
}
