// The namespaces of a containerd elsewhere, over gRPC.

import { Namespaces } from "../../api/containerd/gen/namespaces.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import { NAMESPACE_HEADER } from "../../wire/grpc/options.ts";
import { maskToMessage, required } from "../messages.ts";
import type { NamespaceStore } from "./namespaces.ts";

export function remoteNamespaces(client: GrpcClient): NamespaceStore {
  const calls = client.of(Namespaces);
  // The original publishes the change as an event of the namespace that the call itself names.
  const inside = (name: string) => ({ headers: { [NAMESPACE_HEADER]: name } });
  return {
    get: async (name) => required((await calls.get({ name })).namespace, "namespace"),
    list: async (filter) => (await calls.list({ filter })).namespaces,
    create: async ({ name, labels }) => {
      return required(
        (await calls.create({ namespace: { name, labels: { ...labels } } }, inside(name))).namespace,
        "namespace",
      );
    },
    update: async ({ name, labels }, fields) => {
      const request = { namespace: { name, labels: { ...labels } }, updateMask: maskToMessage(fields) };
      return required((await calls.update(request, inside(name))).namespace, "namespace");
    },
    delete: async (name) => void (await calls.delete({ name }, inside(name))),
  };
}
