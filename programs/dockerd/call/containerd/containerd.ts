// What dockerd asks of containerd, in the nouns of core/. The body over gRPC is in connect.ts; everything is scoped to
// one namespace. Failures keep containerd's words: runc's own sentence must reach the docker client unchanged.

import type { ContainerStore } from "../../../../core/containers/containers.ts";
import type { ContentStore } from "../../../../core/content/content.ts";
import type { DiffService } from "../../../../core/diff/diff.ts";
import type { Envelope } from "../../../../core/events/events.ts";
import type { ImageStore } from "../../../../core/images/images.ts";
import type { LeaseStore } from "../../../../core/leases/leases.ts";
import type { SnapshotStore } from "../../../../core/snapshots/snapshots.ts";
import type { Process, Resources } from "../../../../core/spec/oci.ts";
import type { TaskStatus } from "../../../../core/tasks/tasks.ts";
import type { Mount, TypedValue } from "../../../../core/values.ts";

export interface Containerd {
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly snapshots: SnapshotStore;
  readonly containers: ContainerStore;
  readonly leases: LeaseStore;
  readonly tasks: Tasks;
  readonly diff: DiffService;
  readonly snapshotter: string;
  /** The same containerd under a lease: what is made through it is kept until the lease goes. */
  leased(lease: string): Containerd;
  /** The same one for records that may be lost with the machine's power (containers that remove themselves). */
  relaxed(): Containerd;
  version(): Promise<{ version: string; revision: string }>;
  /** What the shim of a runtime says of itself; {} when this containerd cannot ask. */
  runtimeAnnotations(runtime: string, options: TypedValue | null): Promise<Record<string, string>>;
  /** Ends or throws when the connection is lost. */
  events(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
  close(): void;
}

export interface TaskProcess {
  id: string;
  pid: number;
  status: TaskStatus;
  exitStatus: number;
  /** RFC 3339; "" while it runs. */
  exitedAt: string;
}

export interface TaskRequest {
  id: string;
  rootfs: readonly Mount[];
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
}

export interface ExecRequest {
  id: string;
  execId: string;
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  process: Process;
}

export interface KillRequest {
  id: string;
  /** "" for the container's first process. */
  execId: string;
  signal: number;
  all: boolean;
}

export interface Tasks {
  /** The pid of the process, which waits for start. */
  create(request: TaskRequest): Promise<number>;
  start(id: string, execId: string): Promise<number>;
  get(id: string, execId: string): Promise<TaskProcess>;
  list(): Promise<TaskProcess[]>;
  delete(id: string): Promise<{ exitStatus: number; exitedAt: string }>;
  deleteProcess(id: string, execId: string): Promise<{ exitStatus: number; exitedAt: string }>;
  kill(request: KillRequest): Promise<void>;
  exec(request: ExecRequest): Promise<void>;
  resize(id: string, execId: string, size: { width: number; height: number }): Promise<void>;
  closeStdin(id: string, execId: string): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  pids(id: string): Promise<number[]>;
  update(id: string, resources: Resources): Promise<void>;
  metrics(id: string): Promise<TypedValue | null>;
}
