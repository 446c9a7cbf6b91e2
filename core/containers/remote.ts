// The container store of a containerd elsewhere, over gRPC; and its records as messages.

import { type Container as ContainerMessage, Containers } from "../../api/containerd/gen/containers.ts";
import type { Any } from "../../api/wellknown/gen/any.ts";
import type { Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import * as messages from "../messages.ts";
import type { TypedValue } from "../values.ts";
import type { Container, ContainerStore, NewContainer } from "./containers.ts";

export function remoteContainers(client: GrpcClient, headers: Headers): ContainerStore {
  const calls = client.of(Containers, headers);
  return {
    get: async (id) => containerFromMessage((await calls.get({ id })).container),
    list: async (filters) => (await calls.list({ filters: [...filters] })).containers.map(containerFromMessage),
    create: async (container) => {
      return containerFromMessage((await calls.create({ container: containerToMessage(container) })).container);
    },
    update: async (container, fields) => {
      const request = { container: containerToMessage(container), updateMask: messages.maskToMessage(fields) };
      return containerFromMessage((await calls.update(request)).container);
    },
    delete: async (id) => void (await calls.delete({ id })),
  };
}

export function containerFromMessage(message: ContainerMessage | null): Container {
  const container = messages.required(message, "container");
  const { id, labels, image, snapshotter, snapshotKey, sandbox } = container;
  const extensions: Record<string, TypedValue> = {};
  for (const [key, value] of Object.entries(container.extensions)) extensions[key] = messages.typedFromMessage(value)!;
  return {
    ...{ id, labels, image, snapshotter, snapshotKey, sandbox, extensions },
    runtime: {
      name: container.runtime?.name ?? "",
      options: messages.typedFromMessage(container.runtime?.options ?? null),
    },
    spec: messages.typedFromMessage(container.spec),
    createdAt: messages.timeFromMessage(container.createdAt),
    updatedAt: messages.timeFromMessage(container.updatedAt),
  };
}

export function containerToMessage(container: NewContainer & Partial<Container>): ContainerMessage {
  const { id, image, snapshotter, snapshotKey, sandbox } = container;
  const extensions: Record<string, Any> = {};
  for (const [key, value] of Object.entries(container.extensions)) extensions[key] = messages.typedToMessage(value)!;
  return {
    ...{ id, image, snapshotter, snapshotKey, sandbox, extensions },
    labels: { ...container.labels },
    runtime: { name: container.runtime.name, options: messages.typedToMessage(container.runtime.options) },
    spec: messages.typedToMessage(container.spec),
    createdAt: container.createdAt === undefined ? null : messages.timeToMessage(container.createdAt),
    updatedAt: container.updatedAt === undefined ? null : messages.timeToMessage(container.updatedAt),
  };
}
