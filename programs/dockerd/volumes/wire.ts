// A volume as the Engine API shows it.

import type { Volume as WireVolume } from "../../../api/engine/system.ts";
import type { Volume } from "./volumes.ts";

export function wireVolume(volume: Volume): WireVolume {
  const filled = (map: Record<string, string>) => (Object.keys(map).length === 0 ? null : map);
  return {
    CreatedAt: volume.createdAt.replace(/\.\d+Z$/, "Z"),
    Driver: "local",
    Labels: filled(volume.labels),
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: filled(volume.options),
    Scope: "local",
  };
}
