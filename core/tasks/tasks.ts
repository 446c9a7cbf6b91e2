// Tasks: the running side of a container. One task per container; it has an init process and any number of execs.
//
//     create ──▶ created ──start──▶ running ⇄ paused
//        │          │                  │
//        └─ failed  └──────────────────┴──▶ stopped ──delete──▶ gone
//
// An exec goes the same way inside its task: exec (added), start (running), stopped, deleteProcess. Its calls name it
// by execId; an empty execId means the init process. A task whose shim died is reported with exit and delete events.

import type { Labels, Mount, TypedValue } from "../values.ts";

export type TaskStatus = "unknown" | "created" | "running" | "stopped" | "paused" | "pausing";

export interface TaskIo {
  /** FIFO paths, `file://…`, `binary://…` or empty. */
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export interface TaskProcess extends TaskIo {
  readonly containerId: string;
  /** The exec's id; for the init process what the shim says (its container's id, or empty). */
  readonly id: string;
  readonly pid: number;
  readonly status: TaskStatus;
  readonly exitStatus: number;
  /** Nanoseconds since 1970; 0 while it runs. */
  readonly exitedAt: bigint;
}

export interface TaskExit {
  readonly exitStatus: number;
  readonly exitedAt: bigint;
}

export interface CreateTask extends TaskIo {
  readonly containerId: string;
  /** Made by the shim at the bundle's rootfs; none when the spec names a root of its own. */
  readonly rootfs: readonly Mount[];
  readonly options: TypedValue | null;
  /** Path of a shim to use instead of the one the runtime's name leads to; empty for none. */
  readonly runtimePath: string;
  readonly checkpoint: TypedValue | null;
}

export interface ExecTask extends TaskIo {
  readonly containerId: string;
  readonly execId: string;
  /** The OCI process, as JSON. */
  readonly spec: TypedValue;
}

export interface TaskMetric {
  readonly containerId: string;
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  readonly data: TypedValue | null;
}

/** Which process a call is about. */
export interface ProcessName {
  readonly containerId: string;
  readonly execId: string;
}

export interface TaskService {
  /** The pid of the init process, which waits for start. */
  create(task: CreateTask): Promise<number>;
  start(process: ProcessName): Promise<number>;
  /** Of a stopped task: everything it left is gone afterwards. */
  delete(containerId: string): Promise<TaskExit & { pid: number }>;
  deleteProcess(process: ProcessName): Promise<TaskExit & { pid: number }>;
  get(process: ProcessName): Promise<TaskProcess>;
  list(): Promise<TaskProcess[]>;
  kill(process: ProcessName, signal: number, all: boolean): Promise<void>;
  exec(exec: ExecTask): Promise<void>;
  resize(process: ProcessName, size: { width: number; height: number }): Promise<void>;
  closeStdin(process: ProcessName): Promise<void>;
  pause(containerId: string): Promise<void>;
  resume(containerId: string): Promise<void>;
  pids(containerId: string): Promise<{ pid: number; info: TypedValue | null }[]>;
  checkpoint(containerId: string, options: TypedValue | null): Promise<void>;
  update(containerId: string, resources: TypedValue | null, annotations: Labels): Promise<void>;
  metrics(filters: readonly string[]): Promise<TaskMetric[]>;
  /** Resolves when the process has ended; at once when it had. */
  wait(process: ProcessName, signal?: AbortSignal): Promise<TaskExit>;
}
