// Tagging, deleting and pruning images: records in containerd's image store. What no record names any more, containerd
// collects.

import type { ImageDeleteItem } from "../../../api/engine/image.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { Image } from "../../../core/images/images.ts";
import type { Descriptor } from "../../../core/values.ts";
import type { Container } from "../containers/container.ts";
import { untilOf } from "../containers/prune.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../serve/engine/filters.ts";
import { danglingName, isDangling, repoNames } from "./images.ts";
import { contentSize, createdOf, unpackedSize } from "./list.ts";
import { familiarName, parseReference, parseTagged, storeName } from "./reference.ts";

export async function tagImage(engine: Engine, source: string, repository: string, tag: string): Promise<void> {
  const found = await engine.images.find(source);
  const reference = parseReference(repository);
  if (reference.digest !== null)
    throw new Failure("invalid_argument", "refusing to create a tag with a digest reference");
  const wanted = parseTagged(tag === "" ? repository : `${repository}:${tag}`);
  await nameImage(engine, storeName(wanted), found.records[0]!.target);
  engine.events.emit("image", "tag", { id: found.digest, attributes: { name: familiarName(storeName(wanted)) } });
}

/** Points the name at the target; what the name stood for before is kept without a name when nothing else names it. */
export async function nameImage(engine: Engine, name: string, target: Descriptor): Promise<void> {
  const { images } = engine.containerd;
  const before = await images.get(name).catch((thrown) => {
    if (codeOf(thrown) === "not_found") return null;
    throw thrown;
  });
  if (before === null) await images.create({ name, target, labels: {} });
  else if (before.target.digest !== target.digest) {
    await keepWithoutName(engine, before);
    await images.update({ name, target, labels: before.labels }, ["target"]);
  }
  await images.delete(danglingName(target.digest), { sync: false }).catch(() => {});
}

async function keepWithoutName(engine: Engine, image: Image): Promise<void> {
  const others = (await engine.images.grouped()).get(image.target.digest) ?? [];
  if (others.length > 1) return;
  const dangling = { name: danglingName(image.target.digest), target: image.target, labels: {} };
  await engine.containerd.images.create(dangling).catch((thrown) => {
    if (codeOf(thrown) !== "already_exists") throw thrown;
  });
}

export interface DeleteOptions {
  force: boolean;
}

/** By name one name goes; by id all of them, if it has several only with force. */
export async function deleteImage(engine: Engine, text: string, options: DeleteOptions): Promise<ImageDeleteItem[]> {
  const found = await engine.images.find(text);
  const records = (await engine.images.grouped()).get(found.digest) ?? found.records;
  const byId = found.name === found.digest;
  const chosen = byId ? records : records.filter((record) => found.records.some((one) => one.name === record.name));
  const short = found.digest.slice("sha256:".length, "sha256:".length + 12);
  if (byId && records.length > 1 && !options.force) {
    throw new Failure(
      "failed_precondition",
      `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
    );
  }
  if (chosen.length === records.length) refuseInUse(engine, { found, byId, text, short }, options);
  const answer: ImageDeleteItem[] = [];
  for (const record of chosen) {
    const last = record === chosen.at(-1) && chosen.length === records.length;
    await engine.containerd.images.delete(record.name, { sync: last });
    if (isDangling(record.name)) continue;
    const name = familiarName(record.name);
    answer.push({ Untagged: name });
    engine.events.emit("image", "untag", { id: found.digest, attributes: { name } });
  }
  if (chosen.length === records.length) {
    answer.push({ Deleted: found.digest });
    engine.events.emit("image", "delete", { id: found.digest, attributes: { name: found.digest } });
    engine.images.unpacked.clear();
  }
  return answer;
}

function refuseInUse(
  engine: Engine,
  of: { found: { digest: string }; byId: boolean; text: string; short: string },
  options: DeleteOptions,
): void {
  const users = engine.containers.all().filter((container) => container.record.imageId === of.found.digest);
  const running = users.find((container) => container.running);
  const action = of.byId ? `delete ${of.short}` : `remove repository reference "${of.text}"`;
  const conflict = (container: Container, forced: string, words: string) => {
    const id = container.id.slice(0, 12);
    const why = of.byId ? `${words} ${id}` : `container ${id} is using its referenced image ${of.short}`;
    return new Failure("failed_precondition", `conflict: unable to ${action} (${forced}) - ${why}`);
  };
  if (running !== undefined && (of.byId || !options.force)) {
    const forced = of.byId ? "cannot be forced" : "must be forced";
    throw conflict(running, forced, "image is being used by running container");
  }
  const stopped = users[0];
  if (stopped === undefined || options.force) return;
  throw conflict(stopped, "must be forced", "image is being used by stopped container");
}

export async function pruneImages(
  engine: Engine,
  filters: Filters,
): Promise<{ items: ImageDeleteItem[]; bytes: number }> {
  const danglingOnly = filters.flag("dangling") !== false;
  const until = untilOf(filters, engine.clock.now());
  const used = new Set(engine.containers.all().map((container) => container.record.imageId));
  const items: ImageDeleteItem[] = [];
  let bytes = 0;
  for (const [digest, records] of await engine.images.grouped()) {
    if (used.has(digest)) continue;
    if (danglingOnly && repoNames(records).tags.length > 0) continue;
    const facts = await engine.images.facts(records[0]!.target).catch(() => null);
    if (facts === null) continue;
    const labels = facts.document.config?.Labels ?? {};
    if (!filters.labels(labels) || !filters.withoutLabels(labels)) continue;
    if (until !== null && createdOf(facts) * 1000 > until) continue;
    bytes += contentSize(facts) + (await unpackedSize(engine, facts));
    items.push(...(await deleteImage(engine, digest, { force: true })));
  }
  return { items, bytes };
}
