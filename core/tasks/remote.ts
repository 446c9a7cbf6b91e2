// The tasks of a containerd elsewhere, over gRPC; and a process as a message.

import { type Process, Status } from "../../api/containerd/gen/process.ts";
import { Tasks } from "../../api/containerd/gen/tasks.ts";
import type { Timestamp } from "../../api/wellknown/gen/time.ts";
import { Cancel, type Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import * as messages from "../messages.ts";
import type { TaskExit, TaskProcess, TaskService, TaskStatus } from "./tasks.ts";

export function remoteTasks(client: GrpcClient, headers: Headers): TaskService {
  const calls = client.of(Tasks, headers);
  return {
    create: async (task) => {
      const { containerId, stdin, stdout, stderr, terminal, runtimePath } = task;
      const rootfs = task.rootfs.map(messages.mountToMessage);
      const options = messages.typedToMessage(task.options);
      const io = { stdin, stdout, stderr, terminal };
      return (await calls.create({ containerId, ...io, rootfs, options, runtimePath })).pid;
    },
    start: async (process) => (await calls.start(process)).pid,
    delete: async (containerId) => exitFromMessage(await calls.delete({ containerId })),
    deleteProcess: async (process) => exitFromMessage(await calls.deleteProcess(process)),
    get: async (process) => processFromMessage((await calls.get(process)).process),
    list: async () => (await calls.list({})).tasks.map(processFromMessage),
    kill: async (process, signal, all) => void (await calls.kill({ ...process, signal, all })),
    exec: async (exec) => void (await calls.exec({ ...exec, spec: messages.typedToMessage(exec.spec) })),
    resize: async (process, size) => void (await calls.resizePty({ ...process, ...size })),
    closeStdin: async (process) => void (await calls.closeIO({ ...process, stdin: true })),
    pause: async (containerId) => void (await calls.pause({ containerId })),
    resume: async (containerId) => void (await calls.resume({ containerId })),
    pids: async (containerId) => {
      const { processes } = await calls.listPids({ containerId });
      return processes.map(({ pid, info }) => ({ pid, info: messages.typedFromMessage(info) }));
    },
    checkpoint: async (containerId, options) => {
      await calls.checkpoint({ containerId, options: messages.typedToMessage(options) });
    },
    update: async (containerId, resources, annotations) => {
      const changed = { resources: messages.typedToMessage(resources), annotations: { ...annotations } };
      await calls.update({ containerId, ...changed });
    },
    metrics: async (filters) => {
      const { metrics } = await calls.metrics({ filters: [...filters] });
      return metrics.map(({ id, timestamp, data }) => ({
        containerId: id,
        timestamp: messages.nanosecondsFromMessage(timestamp),
        data: messages.typedFromMessage(data),
      }));
    },
    wait: async (process, signal) => {
      const cancel = new Cancel();
      signal?.addEventListener("abort", () => cancel.cancel(), { once: true });
      return exitFromMessage({ pid: 0, ...(await calls.wait(process, { cancel })) });
    },
  };
}

function exitFromMessage(message: {
  pid: number;
  exitStatus: number;
  exitedAt: Timestamp | null;
}): TaskExit & { pid: number } {
  const exitedAt = messages.nanosecondsFromMessage(message.exitedAt);
  return { pid: message.pid, exitStatus: message.exitStatus, exitedAt };
}

const STATUSES: Readonly<Record<number, TaskStatus>> = {
  [Status.UNKNOWN]: "unknown",
  [Status.CREATED]: "created",
  [Status.RUNNING]: "running",
  [Status.STOPPED]: "stopped",
  [Status.PAUSED]: "paused",
  [Status.PAUSING]: "pausing",
};

export function statusFromMessage(status: number): TaskStatus {
  return STATUSES[status] ?? "unknown";
}

export function processFromMessage(message: Process | null): TaskProcess {
  const process = messages.required(message, "process");
  const { containerId, id, pid, stdin, stdout, stderr, terminal, exitStatus } = process;
  const status = statusFromMessage(process.status);
  const exitedAt = messages.nanosecondsFromMessage(process.exitedAt);
  return { containerId, id, pid, status, stdin, stdout, stderr, terminal, exitStatus, exitedAt };
}

export function processToMessage(process: TaskProcess): Process {
  const { containerId, id, pid, stdin, stdout, stderr, terminal, exitStatus } = process;
  const status = Number(Object.keys(STATUSES).find((number) => STATUSES[Number(number)] === process.status) ?? 0);
  const exitedAt = messages.nanosecondsToMessage(process.exitedAt);
  return { containerId, id, pid, status, stdin, stdout, stderr, terminal, exitStatus, exitedAt };
}
