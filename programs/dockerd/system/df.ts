// GET /system/df: what images, containers and volumes take on disk.

import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { DiskUsage, Volume as WireVolume } from "../../../api/engine/system.ts";
import { Failure } from "../../../base/errors.ts";
import { listContainers } from "../containers/list.ts";
import type { Engine } from "../engine.ts";
import { listImages } from "../images/list.ts";
import { Filters } from "../serve/engine/filters.ts";
import { wireVolume } from "../volumes/wire.ts";

const TYPES = ["container", "image", "volume", "build-cache"];
const BLOCK_BYTES = 512;

export async function diskUsage(engine: Engine, types: readonly string[]): Promise<DiskUsage> {
  for (const type of types) {
    if (!TYPES.includes(type)) throw new Failure("invalid_argument", `unknown object type: ${type}`);
  }
  const has = (type: string) => types.length === 0 || types.includes(type);
  const none = Filters.parse("", []);
  const images = has("image")
    ? await listImages(engine, { all: true, filters: none, manifests: false, sharedSize: true })
    : null;
  const containers = has("container")
    ? await listContainers(engine, { all: true, limit: null, size: true, filters: none })
    : null;
  const volumes = has("volume") ? engine.volumes.list().map((volume) => withUsage(engine, wireVolume(volume))) : null;
  const layers = images === null ? 0 : images.reduce((sum, image) => sum + image.Size, 0);
  return {
    LayersSize: layers,
    Images: images,
    Containers: containers,
    Volumes: volumes,
    BuildCache: has("build-cache") ? [] : null,
  };
}

function withUsage(engine: Engine, volume: WireVolume): WireVolume {
  const usage = { Size: sizeBelow(volume.Mountpoint), RefCount: engine.volumes.users(volume.Name).length };
  return { ...volume, UsageData: usage };
}

/** Bytes on disk of a folder; what vanishes while it is counted counts as nothing. */
export function sizeBelow(path: string): number {
  let total = 0;
  let names: string[];
  try {
    names = readdirSync(path);
  } catch {
    return 0;
  }
  for (const name of names) {
    const stats = lstatSync(join(path, name), { throwIfNoEntry: false });
    if (stats === undefined) continue;
    total += stats.isDirectory() ? sizeBelow(join(path, name)) : stats.blocks * BLOCK_BYTES;
  }
  return total;
}
