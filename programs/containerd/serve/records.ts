// The services over plain records: containers, images, leases, namespaces.

import type { Containers as ContainersApi } from "../../../api/containerd/gen/containers.ts";
import type { Images as ImagesApi } from "../../../api/containerd/gen/images.ts";
import type { Leases as LeasesApi } from "../../../api/containerd/gen/leases.ts";
import type { Namespaces as NamespacesApi } from "../../../api/containerd/gen/namespaces.ts";
import { Failure } from "../../../base/errors.ts";
import { containerFromMessage, containerToMessage } from "../../../core/containers/remote.ts";
import type { Containers } from "../../../core/containers/store.ts";
import { imageFromMessage, imageToMessage } from "../../../core/images/remote.ts";
import type { Images } from "../../../core/images/store.ts";
import { leaseToMessage } from "../../../core/leases/remote.ts";
import type { Leases } from "../../../core/leases/store.ts";
import { fieldsFromMessage, required } from "../../../core/messages.ts";
import type { Namespace, NamespaceStore } from "../../../core/namespaces/namespaces.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { scopeOf } from "./scope.ts";

export function serveContainers(containers: Containers): HandlersOf<typeof ContainersApi> {
  return {
    async get({ id }, context) {
      return { container: containerToMessage(await containers.scoped(scopeOf(context)).get(id)) };
    },
    async list({ filters }, context) {
      const all = await containers.scoped(scopeOf(context)).list(filters);
      return { containers: all.map(containerToMessage) };
    },
    async *listStream({ filters }, context) {
      const all = await containers.scoped(scopeOf(context)).list(filters);
      for (const container of all) yield { container: containerToMessage(container) };
    },
    async create({ container }, context) {
      const made = await containers.scoped(scopeOf(context)).create(containerFromMessage(container));
      return { container: containerToMessage(made) };
    },
    async update({ container, updateMask }, context) {
      const fields = fieldsFromMessage(updateMask);
      const next = await containers.scoped(scopeOf(context)).update(containerFromMessage(container), fields);
      return { container: containerToMessage(next) };
    },
    async delete({ id }, context) {
      await containers.scoped(scopeOf(context)).delete(id);
      return {};
    },
  };
}

export function serveImages(images: Images): HandlersOf<typeof ImagesApi> {
  return {
    async get({ name }, context) {
      return { image: imageToMessage(await images.scoped(scopeOf(context)).get(name)) };
    },
    async list({ filters }, context) {
      return { images: (await images.scoped(scopeOf(context)).list(filters)).map(imageToMessage) };
    },
    async create({ image }, context) {
      return { image: imageToMessage(await images.scoped(scopeOf(context)).create(imageFromMessage(image))) };
    },
    async update({ image, updateMask }, context) {
      const fields = fieldsFromMessage(updateMask);
      return { image: imageToMessage(await images.scoped(scopeOf(context)).update(imageFromMessage(image), fields)) };
    },
    async delete({ name, sync, target }, context) {
      const store = images.scoped(scopeOf(context));
      // Since containerd 2: only if the name still points to what the caller saw.
      if (target !== null && target.digest !== (await store.get(name)).target.digest) {
        throw new Failure("not_found", `image ${JSON.stringify(name)} has another target now: not found`);
      }
      await store.delete(name, { sync });
      return {};
    },
  };
}

export function serveLeases(leases: Leases): HandlersOf<typeof LeasesApi> {
  return {
    async create({ id, labels }, context) {
      return { lease: leaseToMessage(await leases.scoped(scopeOf(context)).create({ id, labels })) };
    },
    async delete({ id, sync }, context) {
      await leases.scoped(scopeOf(context)).delete(id, sync);
      return {};
    },
    async list({ filters }, context) {
      return { leases: (await leases.scoped(scopeOf(context)).list(filters)).map(leaseToMessage) };
    },
    async addResource({ id, resource }, context) {
      await leases.scoped(scopeOf(context)).addResource(id, required(resource, "resource"));
      return {};
    },
    async deleteResource({ id, resource }, context) {
      await leases.scoped(scopeOf(context)).deleteResource(id, required(resource, "resource"));
      return {};
    },
    async listResources({ id }, context) {
      return { resources: await leases.scoped(scopeOf(context)).listResources(id) };
    },
  };
}

export function serveNamespaces(namespaces: NamespaceStore): HandlersOf<typeof NamespacesApi> {
  const message = ({ name, labels }: Namespace) => ({ namespace: { name, labels: { ...labels } } });
  return {
    async get({ name }) {
      return message(await namespaces.get(name));
    },
    async list({ filter }) {
      return { namespaces: (await namespaces.list(filter)).map((namespace) => message(namespace).namespace) };
    },
    async create({ namespace }) {
      return message(await namespaces.create(required(namespace, "namespace")));
    },
    async update({ namespace, updateMask }) {
      const fields = fieldsFromMessage(updateMask);
      return message(await namespaces.update(required(namespace, "namespace"), fields));
    },
    async delete({ name }) {
      await namespaces.delete(name);
      return {};
    },
  };
}
