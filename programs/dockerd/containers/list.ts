// GET /containers/json: filters, order (newest first) and limits, as the original applies them.

import type { ContainerSummary } from "../../../api/engine/container.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../serve/engine/filters.ts";
import type { Container } from "./container.ts";
import { type Sizes, summarise } from "./inspect.ts";

export const LIST_FILTERS = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];

const STATUSES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

export interface ListOptions {
  all: boolean;
  /** Of the newest; null for all. */
  limit: number | null;
  size: boolean;
  filters: Filters;
}

export async function listContainers(engine: Engine, options: ListOptions): Promise<ContainerSummary[]> {
  const { filters } = options;
  for (const status of filters.get("status")) {
    if (!STATUSES.includes(status)) throw new Failure("invalid_argument", `invalid filter 'status=${status}'`);
  }
  const all = engine.containers.all().toSorted(newestFirst);
  const bounds = rangeOf(engine, filters);
  const ancestors = await ancestorDigests(engine, filters);
  const limit = options.limit ?? -1;
  const everything = options.all || limit > 0 || filters.has("status") || filters.has("exited");
  const chosen: Container[] = [];
  for (const container of all) {
    if (limit > 0 && chosen.length === limit) break;
    if (!everything && !container.running && container.record.state.status !== "restarting") continue;
    if (!bounds(container) || !fits(engine, container, { filters, ancestors })) continue;
    chosen.push(container);
  }
  const sizes = options.size ? await Promise.all(chosen.map((container) => sizesOf(engine, container))) : [];
  return chosen.map((container, index) => summarise(engine, container, sizes[index] ?? null));
}

function newestFirst(a: Container, b: Container): number {
  return a.record.createdAt < b.record.createdAt ? 1 : -1;
}

function rangeOf(engine: Engine, filters: Filters): (container: Container) => boolean {
  const before = filters.get("before").map((reference) => engine.containers.find(reference).record.createdAt);
  const since = filters.get("since").map((reference) => engine.containers.find(reference).record.createdAt);
  return ({ record }) =>
    before.every((time) => record.createdAt < time) && since.every((time) => record.createdAt > time);
}

async function ancestorDigests(engine: Engine, filters: Filters): Promise<Set<string> | null> {
  if (!filters.has("ancestor")) return null;
  const digests = new Set<string>();
  for (const name of filters.get("ancestor")) {
    const found = await engine.images.find(name).catch(() => null);
    if (found !== null) digests.add(found.digest);
  }
  return digests;
}

function fits(
  engine: Engine,
  container: Container,
  { filters, ancestors }: { filters: Filters; ancestors: Set<string> | null },
): boolean {
  const { record } = container;
  const names = (wanted: string) => {
    const pattern = safePattern(wanted);
    return pattern.test(`/${record.name}`) || pattern.test(record.name);
  };
  const mode = engine.networks.mode(record.hostConfig).kind;
  return (
    filters.exact("status", record.state.status) &&
    filters.some("id", (wanted) => record.id.startsWith(wanted)) &&
    filters.some("name", names) &&
    filters.labels(record.config.Labels ?? {}) &&
    filters.some("exited", (wanted) => record.state.status === "exited" && String(record.state.exitCode) === wanted) &&
    filters.some("health", (wanted) => (container.health?.Status ?? "none") === wanted) &&
    filters.some(
      "network",
      (wanted) => wanted === mode || engine.networks.list().some((n) => n.id === wanted && n.name === mode),
    ) &&
    filters.some("volume", (wanted) =>
      record.mounts.some((point) => point.Name === wanted || point.Destination === wanted || point.Source === wanted),
    ) &&
    filters.some("publish", (wanted) => publishes(container, wanted)) &&
    filters.some("expose", (wanted) => exposes(container, wanted)) &&
    (ancestors === null || ancestors.has(record.imageId))
  );
}

function publishes(container: Container, wanted: string): boolean {
  const port = wanted.includes("/") ? wanted : `${wanted}/tcp`;
  return (container.record.endpoint?.ports ?? []).some((one) => `${one.hostPort}/${one.protocol}` === port);
}

function exposes(container: Container, wanted: string): boolean {
  const port = wanted.includes("/") ? wanted : `${wanted}/tcp`;
  return port in (container.record.config.ExposedPorts ?? {});
}

/** Names are matched as regular expressions; what is none is taken literally. */
function safePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  }
}

export async function sizesOf(engine: Engine, container: Container): Promise<Sizes> {
  try {
    const { snapshots } = engine.containerd;
    const own = await snapshots.usage(container.id);
    let total = own.size;
    for (let parent = (await snapshots.stat(container.id)).parent; parent !== ""; ) {
      const [usage, info] = await Promise.all([snapshots.usage(parent), snapshots.stat(parent)]);
      total += usage.size;
      parent = info.parent;
    }
    return { rw: own.size, rootFs: total };
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return { rw: 0, rootFs: 0 };
    throw thrown;
  }
}
