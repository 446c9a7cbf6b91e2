// The leases of a containerd elsewhere, over gRPC; and a lease as a message.

import { type Lease as LeaseMessage, Leases } from "../../api/containerd/gen/leases.ts";
import type { Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import { required, timeFromMessage, timeToMessage } from "../messages.ts";
import type { Lease, LeaseStore } from "./leases.ts";

/** The header of a call whose results a lease shall keep. */
export const LEASE_HEADER = "containerd-lease";

export function remoteLeases(client: GrpcClient, headers: Headers): LeaseStore {
  const calls = client.of(Leases, headers);
  return {
    create: async ({ id, labels }) => leaseFromMessage((await calls.create({ id, labels: { ...labels } })).lease),
    delete: async (id, sync) => void (await calls.delete({ id, sync })),
    list: async (filters) => (await calls.list({ filters: [...filters] })).leases.map(leaseFromMessage),
    addResource: async (id, resource) => void (await calls.addResource({ id, resource })),
    deleteResource: async (id, resource) => void (await calls.deleteResource({ id, resource })),
    listResources: async (id) => (await calls.listResources({ id })).resources,
  };
}

export function leaseFromMessage(message: LeaseMessage | null): Lease {
  const { id, labels, createdAt } = required(message, "lease");
  return { id, labels, createdAt: timeFromMessage(createdAt) };
}

export function leaseToMessage(lease: Lease): LeaseMessage {
  return { id: lease.id, labels: { ...lease.labels }, createdAt: timeToMessage(lease.createdAt) };
}
