// All nouns of one containerd behind its socket: what ctr and dockerd hold.
//
//     const containerd = new RemoteContainerd("/run/containerd/containerd.sock");
//     const moby = containerd.scoped({ namespace: "moby", lease: null, acknowledged: true });
//     await moby.images.get("docker.io/library/busybox:latest");

import { Introspection, type Plugin } from "../api/containerd/gen/introspection.ts";
import { Version } from "../api/containerd/gen/version.ts";
import { GrpcClient } from "../wire/grpc/client.ts";
import { NAMESPACE_HEADER } from "../wire/grpc/options.ts";
import type { ContainerStore } from "./containers/containers.ts";
import { remoteContainers } from "./containers/remote.ts";
import type { ContentStore } from "./content/content.ts";
import { remoteContent } from "./content/remote.ts";
import type { DiffService } from "./diff/diff.ts";
import { remoteDiff } from "./diff/remote.ts";
import type { EventSource } from "./events/events.ts";
import { remoteEvents } from "./events/remote.ts";
import type { ImageStore } from "./images/images.ts";
import { remoteImages } from "./images/remote.ts";
import type { LeaseStore } from "./leases/leases.ts";
import { LEASE_HEADER, remoteLeases } from "./leases/remote.ts";
import type { NamespaceStore } from "./namespaces/namespaces.ts";
import { remoteNamespaces } from "./namespaces/remote.ts";
import { remoteSnapshots } from "./snapshots/remote.ts";
import type { SnapshotStore } from "./snapshots/snapshots.ts";
import { remoteTasks } from "./tasks/remote.ts";
import type { TaskService } from "./tasks/tasks.ts";
import type { Scope } from "./values.ts";

/** Says that a record may be lost with the machine's power: Gantry's own header, ignored by the original. */
export const DURABILITY_HEADER = "gantry-durability";
export const DURABILITY_RUNNING = "running";

export interface Nouns {
  readonly images: ImageStore;
  readonly containers: ContainerStore;
  readonly content: ContentStore;
  readonly leases: LeaseStore;
  readonly tasks: TaskService;
  readonly events: EventSource;
  readonly diff: DiffService;
  snapshots(snapshotter: string): SnapshotStore;
}

export class RemoteContainerd implements Disposable {
  readonly client: GrpcClient;

  /** The path of its unix socket. Nothing is sent before the first call. */
  constructor(socket: string) {
    this.client = new GrpcClient(socket);
  }

  get namespaces(): NamespaceStore {
    return remoteNamespaces(this.client);
  }

  scoped(scope: Scope): Nouns {
    const headers: Record<string, string> = { [NAMESPACE_HEADER]: scope.namespace };
    if (scope.lease !== null) headers[LEASE_HEADER] = scope.lease;
    if (!scope.acknowledged) headers[DURABILITY_HEADER] = DURABILITY_RUNNING;
    return {
      images: remoteImages(this.client, headers),
      containers: remoteContainers(this.client, headers),
      content: remoteContent(this.client, headers),
      leases: remoteLeases(this.client, headers),
      tasks: remoteTasks(this.client, headers),
      events: remoteEvents(this.client, headers),
      diff: remoteDiff(this.client, headers),
      snapshots: (snapshotter) => remoteSnapshots(this.client, headers, snapshotter),
    };
  }

  async version(timeout: number): Promise<{ version: string; revision: string }> {
    return this.client.of(Version).version({}, { timeout });
  }

  async server(): Promise<{ uuid: string; pid: number }> {
    const { uuid, pid } = await this.client.of(Introspection).server({});
    return { uuid, pid: Number(pid) };
  }

  async plugins(filters: readonly string[]): Promise<Plugin[]> {
    return (await this.client.of(Introspection).plugins({ filters: [...filters] })).plugins;
  }

  close(): void {
    this.client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
