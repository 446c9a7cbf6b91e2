// Connecting to a containerd: the body of containerd.ts over gRPC, in one namespace.

import { Introspection } from "../../../../api/containerd/gen/introspection.ts";
import { RuntimeInfo, RuntimeRequest } from "../../../../api/containerd/gen/types.ts";
import { Version } from "../../../../api/containerd/gen/version.ts";
import { remoteContainers } from "../../../../core/containers/remote.ts";
import { remoteContent } from "../../../../core/content/remote.ts";
import { remoteDiff } from "../../../../core/diff/remote.ts";
import type { Envelope } from "../../../../core/events/events.ts";
import { remoteEvents } from "../../../../core/events/remote.ts";
import { remoteImages } from "../../../../core/images/remote.ts";
import { LEASE_HEADER, remoteLeases } from "../../../../core/leases/remote.ts";
import { DURABILITY_HEADER, DURABILITY_RUNNING } from "../../../../core/remote.ts";
import { remoteSnapshots } from "../../../../core/snapshots/remote.ts";
import { remoteTasks } from "../../../../core/tasks/remote.ts";
import type { TypedValue } from "../../../../core/values.ts";
import { GrpcClient } from "../../../../wire/grpc/client.ts";
import { NAMESPACE_HEADER } from "../../../../wire/grpc/options.ts";
import type { Containerd } from "./containerd.ts";
import { namedTasks } from "./tasks.ts";

const RUNTIME_PLUGIN = { type: "io.containerd.runtime.v2", id: "task" };
/** Milliseconds a containerd has to answer, and to ask a shim what it can do. */
const CONNECT_TIMEOUT_MS = 10_000;
const INFO_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  socket: string;
  namespace: string;
  snapshotter: string;
}

/** Throws "unavailable" when nobody answers. */
export async function connectContainerd(options: ConnectOptions): Promise<Containerd> {
  const client = new GrpcClient(options.socket);
  try {
    await client.ready(CONNECT_TIMEOUT_MS);
  } catch (thrown) {
    client.close();
    throw thrown;
  }
  return overConnection(client, options, {});
}

function overConnection(client: GrpcClient, options: ConnectOptions, more: Record<string, string>): Containerd {
  const headers: Record<string, string> = { [NAMESPACE_HEADER]: options.namespace, ...more };
  let relaxed: Containerd | null = null;
  const events = remoteEvents(client, headers);
  return {
    content: remoteContent(client, headers),
    images: remoteImages(client, headers),
    snapshots: remoteSnapshots(client, headers, options.snapshotter),
    containers: remoteContainers(client, headers),
    leases: remoteLeases(client, headers),
    tasks: namedTasks(remoteTasks(client, headers)),
    diff: remoteDiff(client, headers),
    snapshotter: options.snapshotter,
    leased: (name) => overConnection(client, options, { ...more, [LEASE_HEADER]: name }),
    relaxed: () => (relaxed ??= overConnection(client, options, { ...more, [DURABILITY_HEADER]: DURABILITY_RUNNING })),
    version: () => client.of(Version).version({}),
    runtimeAnnotations: (runtime, settings) => runtimeAnnotations(client, headers, { runtime, settings }),
    events: (filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope> =>
      events.subscribe(filters, signal),
    close: () => client.close(),
  };
}

async function runtimeAnnotations(
  client: GrpcClient,
  headers: Record<string, string>,
  of: { runtime: string; settings: TypedValue | null },
): Promise<Record<string, string>> {
  const options = of.settings === null ? null : { ...of.settings };
  const value = RuntimeRequest.encode(RuntimeRequest.create({ runtimePath: of.runtime, options }));
  const request = { ...RUNTIME_PLUGIN, options: { typeUrl: RuntimeRequest.typeName, value } };
  const { extra } = await client.of(Introspection, headers).pluginInfo(request, { timeout: INFO_TIMEOUT_MS });
  return extra === null ? {} : RuntimeInfo.decode(extra.value).annotations;
}
