// Tasks as dockerd names them, over core's task service: OCI documents become typed values, times become text.

import { encodeUtf8 } from "../../../../base/bytes.ts";
import { formatJson } from "../../../../base/json.ts";
import type { TaskProcess as CoreProcess, TaskService } from "../../../../core/tasks/tasks.ts";
import type { TypedValue } from "../../../../core/values.ts";
import type { TaskProcess, Tasks } from "./containerd.ts";
import { textOfNanoseconds } from "./values.ts";

const SPEC = "types.containerd.io/opencontainers/runtime-spec/1";
const INIT = "";

export function namedTasks(service: TaskService): Tasks {
  return {
    create: ({ id, ...task }) =>
      service.create({ containerId: id, ...task, options: null, runtimePath: "", checkpoint: null }),
    start: (containerId, execId) => service.start({ containerId, execId }),
    get: async (containerId, execId) => processOf(await service.get({ containerId, execId })),
    list: async () => (await service.list()).map(processOf),
    delete: async (id) => exitOf(await service.delete(id)),
    deleteProcess: async (containerId, execId) => exitOf(await service.deleteProcess({ containerId, execId })),
    kill: ({ id, execId, signal, all }) => service.kill({ containerId: id, execId }, signal, all),
    exec: ({ id, process, ...exec }) =>
      service.exec({ containerId: id, ...exec, spec: documentOf("Process", process) }),
    resize: (containerId, execId, size) => service.resize({ containerId, execId }, size),
    closeStdin: (containerId, execId) => service.closeStdin({ containerId, execId: execId || INIT }),
    pause: (id) => service.pause(id),
    resume: (id) => service.resume(id),
    pids: async (id) => (await service.pids(id)).map((process) => process.pid),
    update: (id, resources) => service.update(id, documentOf("LinuxResources", resources), {}),
    metrics: async (id) => {
      const metrics = await service.metrics([`id==${id}`]);
      return metrics.find((metric) => metric.containerId === id)?.data ?? null;
    },
  };
}

function documentOf(name: string, value: unknown): TypedValue {
  return { typeUrl: `${SPEC}/${name}`, value: encodeUtf8(formatJson(value)) };
}

function processOf(process: CoreProcess): TaskProcess {
  const { containerId, id, pid, status, exitStatus, exitedAt } = process;
  return { id: id || containerId, pid, status, exitStatus, exitedAt: textOfNanoseconds(exitedAt) };
}

function exitOf(exit: { exitStatus: number; exitedAt: bigint }): { exitStatus: number; exitedAt: string } {
  return { exitStatus: exit.exitStatus, exitedAt: textOfNanoseconds(exit.exitedAt) };
}
