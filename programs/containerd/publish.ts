// What the stores report, as events: each becomes an envelope with its message (containerd.events.*).
// Also reads fields of events back, for filters such as `event.container_id==x`.

import * as images from "../../api/containerd/gen/image_events.ts";
import * as records from "../../api/containerd/gen/record_events.ts";
import * as tasks from "../../api/containerd/gen/task_events.ts";
import type { ContainerEvents } from "../../core/containers/store.ts";
import type { ContentEvents } from "../../core/content/store.ts";
import type { EventFields, Exchange } from "../../core/events/exchange.ts";
import type { ImageEvents } from "../../core/images/store.ts";
import { typedToMessage } from "../../core/messages.ts";
import type { NamespaceEvents } from "../../core/namespaces/store.ts";
import { SNAPSHOTTER, type SnapshotEvents } from "../../core/snapshots/overlay.ts";
import type { GeneratedType } from "../../wire/protobuf/codec.ts";

export interface Publishers {
  containers: ContainerEvents;
  content: ContentEvents;
  images: ImageEvents;
  namespaces: NamespaceEvents;
  snapshots: SnapshotEvents;
}

type Publish = <T>(namespace: string, topic: string, event: { type: GeneratedType<T>; value: Partial<T> }) => void;

export function publishers(exchange: Exchange): Publishers {
  const publish: Publish = (namespace, topic, { type, value }) => {
    const timestamp = BigInt(Date.now()) * 1_000_000n;
    const event = { typeUrl: type.typeName, value: type.encode(type.create(value)) };
    exchange.forward({ timestamp, namespace, topic, event });
  };
  return { ...recordPublishers(publish), ...storagePublishers(publish) };
}

function recordPublishers(publish: Publish): Pick<Publishers, "containers" | "namespaces" | "images"> {
  return {
    containers: {
      created: (namespace, { id, image, runtime }) => {
        const value = { id, image, runtime: { name: runtime.name, options: typedToMessage(runtime.options) } };
        publish(namespace, "/containers/create", { type: records.ContainerCreate, value });
      },
      updated: (namespace, { id, image, labels, snapshotKey }) => {
        const value = { id, image, labels: { ...labels }, snapshotKey };
        publish(namespace, "/containers/update", { type: records.ContainerUpdate, value });
      },
      deleted: (namespace, id) => {
        publish(namespace, "/containers/delete", { type: records.ContainerDelete, value: { id } });
      },
    },
    namespaces: {
      created: ({ name, labels }) => {
        const value = { name, labels: { ...labels } };
        publish(name, "/namespaces/create", { type: records.NamespaceCreate, value });
      },
      updated: ({ name, labels }) => {
        const value = { name, labels: { ...labels } };
        publish(name, "/namespaces/update", { type: records.NamespaceUpdate, value });
      },
      deleted: (name) => publish(name, "/namespaces/delete", { type: records.NamespaceDelete, value: { name } }),
    },
    images: {
      created: (namespace, { name, labels }) => {
        publish(namespace, "/images/create", { type: images.ImageCreate, value: { name, labels: { ...labels } } });
      },
      updated: (namespace, { name, labels }) => {
        publish(namespace, "/images/update", { type: images.ImageUpdate, value: { name, labels: { ...labels } } });
      },
      deleted: (namespace, name) => publish(namespace, "/images/delete", { type: images.ImageDelete, value: { name } }),
    },
  };
}

function storagePublishers(publish: Publish): Pick<Publishers, "content" | "snapshots"> {
  const snapshotter = SNAPSHOTTER;
  return {
    content: {
      committed: (namespace, digest, size) => {
        const value = { digest, size: BigInt(size) };
        publish(namespace, "/content/create", { type: records.ContentCreate, value });
      },
      deleted: (namespace, digest) => {
        publish(namespace, "/content/delete", { type: records.ContentDelete, value: { digest } });
      },
    },
    snapshots: {
      prepared: (namespace, key, parent) => {
        publish(namespace, "/snapshot/prepare", { type: records.SnapshotPrepare, value: { key, parent, snapshotter } });
      },
      committed: (namespace, key, name) => {
        publish(namespace, "/snapshot/commit", { type: records.SnapshotCommit, value: { key, name, snapshotter } });
      },
      removed: (namespace, key) => {
        publish(namespace, "/snapshot/remove", { type: records.SnapshotRemove, value: { key, snapshotter } });
      },
    },
  };
}

const KNOWN: ReadonlyMap<string, GeneratedType<object>> = new Map(
  [...Object.values(tasks), ...Object.values(records), ...Object.values(images)].map((type) => [
    type.typeName,
    type as unknown as GeneratedType<object>,
  ]),
);

/** Names in filters are the schema's (`container_id`); generated ones are in camel case. */
export const eventFields: EventFields = (event, path) => {
  const type = KNOWN.get(event.typeUrl);
  if (type === undefined) return null;
  let value: unknown = type.decode(event.value);
  for (const part of path) {
    if (typeof value !== "object" || value === null) return null;
    const name = part.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
    value = (value as Record<string, unknown>)[name] ?? (value as Record<string, unknown>)[part] ?? null;
  }
  return value === null || typeof value === "object" ? null : String(value);
};
