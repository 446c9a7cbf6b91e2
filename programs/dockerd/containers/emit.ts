// Container events: the attributes every one of them carries are the labels, the image and the name.

import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";

export function emitContainer(
  engine: Engine,
  container: Container,
  action: string,
  extra: Record<string, string> = {},
): void {
  const { config, imageName, name } = container.record;
  const attributes = { ...config.Labels, ...extra, image: imageName, name };
  engine.events.emit("container", action, { id: container.id, attributes });
}
