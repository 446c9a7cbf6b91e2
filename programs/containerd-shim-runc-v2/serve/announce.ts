// The events of a task with their topics, as the daemon and its clients know them.

import * as events from "../../../api/containerd/gen/task_events.ts";
import type { Publisher } from "../call/events.ts";
import type { Container } from "../container.ts";
import type { Process } from "../process.ts";
import type { Ended } from "../reaper.ts";
import { timestamp } from "../time.ts";

export const announce = {
  create(
    to: Publisher,
    container: Container,
    request: { rootfs: events.TaskCreate["rootfs"]; checkpoint: string },
  ): void {
    to.publish("/tasks/create", events.TaskCreate, {
      containerId: container.id,
      bundle: container.bundle,
      rootfs: request.rootfs,
      io: container.init.stdio,
      checkpoint: request.checkpoint,
      pid: container.init.pid,
    });
  },

  start(to: Publisher, container: Container): void {
    to.publish("/tasks/start", events.TaskStart, { containerId: container.id, pid: container.init.pid });
  },

  execAdded(to: Publisher, container: Container, execId: string): void {
    to.publish("/tasks/exec-added", events.TaskExecAdded, { containerId: container.id, execId });
  },

  execStarted(to: Publisher, container: Container, process: Process): void {
    const { execId, pid } = process;
    to.publish("/tasks/exec-started", events.TaskExecStarted, { containerId: container.id, execId, pid });
  },

  exit(to: Publisher, container: Container, process: Process): void {
    to.publish("/tasks/exit", events.TaskExit, {
      containerId: container.id,
      id: process.execId === "" ? container.id : process.execId,
      pid: process.pid,
      exitStatus: process.ended!.code,
      exitedAt: timestamp(process.ended!.at),
    });
  },

  delete(to: Publisher, container: Container, gone: { pid: number; ended: Ended | null }): void {
    to.publish("/tasks/delete", events.TaskDelete, {
      containerId: container.id,
      pid: gone.pid,
      exitStatus: gone.ended?.code ?? 0,
      exitedAt: gone.ended === null ? null : timestamp(gone.ended.at),
      id: "",
    });
  },

  paused(to: Publisher, container: Container): void {
    to.publish("/tasks/paused", events.TaskPaused, { containerId: container.id });
  },

  resumed(to: Publisher, container: Container): void {
    to.publish("/tasks/resumed", events.TaskResumed, { containerId: container.id });
  },

  checkpointed(to: Publisher, container: Container, checkpoint: string): void {
    to.publish("/tasks/checkpointed", events.TaskCheckpointed, { containerId: container.id, checkpoint });
  },

  oom(to: Publisher, container: Container): void {
    to.publish("/tasks/oom", events.TaskOOM, { containerId: container.id });
  },
} as const;
