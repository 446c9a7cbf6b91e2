// The contract of core/tasks over this daemon's tasks: each call goes to the task's shim. A call that a dying shim left
// unanswered is answered from what the daemon found out.

import { CheckpointOptions } from "../../../api/task/gen/runc_options.ts";
import { Failure } from "../../../base/errors.ts";
import type { Containers } from "../../../core/containers/store.ts";
import { fieldReader, parseFilters } from "../../../core/filters/filter.ts";
import { nanosecondsFromMessage, typedFromMessage, typedToMessage } from "../../../core/messages.ts";
import { statusFromMessage } from "../../../core/tasks/remote.ts";
import type { ProcessName, TaskExit, TaskMetric, TaskProcess, TaskService } from "../../../core/tasks/tasks.ts";
import { checkIdentifier, type TypedValue } from "../../../core/values.ts";
import { Cancel } from "../../../wire/call.ts";
import type { TaskManager } from "./manager.ts";
import type { Task } from "./task.ts";

const STATE_TIMEOUT = 5000; // milliseconds that one unresponsive shim may hold up a list

export function taskService(manager: TaskManager, containers: Containers, namespace: string): TaskService {
  const find = (containerId: string): Task => {
    containers.get(namespace, containerId);
    return manager.find(namespace, containerId);
  };
  const about = ({ containerId, execId }: ProcessName) => ({ id: containerId, execId });
  const shim = (containerId: string) => find(containerId).shim.task;
  return {
    create: async (task) => {
      const container = containers.get(namespace, task.containerId);
      if (task.checkpoint !== null) throw new Failure("unimplemented", "restoring a checkpoint is not supported yet");
      return (await manager.create(namespace, container, task)).pid;
    },
    start: async (process) => (await shim(process.containerId).start(about(process))).pid,
    delete: async (containerId) => {
      const task = find(containerId);
      const answer = await task.shim.task.delete({ id: containerId });
      await manager.retire(task);
      const exit = { exitStatus: answer.exitStatus, exitedAt: nanosecondsFromMessage(answer.exitedAt) };
      return { ...exit, pid: answer.pid };
    },
    deleteProcess: async (process) => {
      const { pid, exitStatus, exitedAt } = await shim(process.containerId).delete(about(process));
      return { pid, exitStatus, exitedAt: nanosecondsFromMessage(exitedAt) };
    },
    get: (process) => stateOf(find(process.containerId), process.execId),
    list: () => states(manager.list(namespace)),
    kill: async (process, signal, all) => {
      await shim(process.containerId).kill({ ...about(process), signal, all });
    },
    exec: async ({ containerId, execId, stdin, stdout, stderr, terminal, spec }) => {
      checkIdentifier(execId);
      const io = { stdin, stdout, stderr, terminal };
      await shim(containerId).exec({ id: containerId, execId, ...io, spec: typedToMessage(spec) });
    },
    resize: async (process, size) => void (await shim(process.containerId).resizePty({ ...about(process), ...size })),
    closeStdin: async (process) => {
      await shim(process.containerId).closeIO({ ...about(process), stdin: true });
    },
    pause: async (containerId) => void (await shim(containerId).pause({ id: containerId })),
    resume: async (containerId) => void (await shim(containerId).resume({ id: containerId })),
    pids: async (containerId) => {
      const { processes } = await shim(containerId).pids({ id: containerId });
      return processes.map(({ pid, info }) => ({ pid, info: typedFromMessage(info) }));
    },
    checkpoint: async (containerId, options) => {
      await shim(containerId).checkpoint({
        id: containerId,
        path: imagePath(options),
        options: typedToMessage(options),
      });
    },
    update: async (containerId, resources, annotations) => {
      const changed = { resources: typedToMessage(resources), annotations: { ...annotations } };
      await shim(containerId).update({ id: containerId, ...changed });
    },
    metrics: (filters) => metrics(manager.list(namespace), filters),
    wait: (process, signal) => wait(find(process.containerId), process.execId, signal),
  };
}

/** Where the client wants the image; without that it would have to become content, which is not here yet. */
function imagePath(options: TypedValue | null): string {
  const path = options?.typeUrl === CheckpointOptions.typeName ? CheckpointOptions.decode(options.value).imagePath : "";
  if (path === "") throw new Failure("unimplemented", "checkpoints are only written to an image path yet");
  return path;
}

async function stateOf(task: Task, execId: string, timeout?: number): Promise<TaskProcess> {
  const options = timeout === undefined ? {} : { timeout };
  const state = await task.shim.task.state({ id: task.id, execId }, options);
  const { pid, stdin, stdout, stderr, terminal, exitStatus } = state;
  return {
    ...{ containerId: task.id, id: state.execId === "" ? state.id : state.execId, pid },
    ...{ stdin, stdout, stderr, terminal, exitStatus },
    status: statusFromMessage(state.status),
    exitedAt: nanosecondsFromMessage(state.exitedAt),
  };
}

async function states(tasks: readonly Task[]): Promise<TaskProcess[]> {
  const all = await Promise.allSettled(tasks.map((task) => stateOf(task, "", STATE_TIMEOUT)));
  return all.flatMap((state) => (state.status === "fulfilled" ? [state.value] : []));
}

async function metrics(tasks: readonly Task[], filters: readonly string[]): Promise<TaskMetric[]> {
  const filter = parseFilters(filters);
  const wanted = tasks.filter((task) => filter(fieldReader({ id: task.id, namespace: task.namespace })));
  const all = await Promise.allSettled(
    wanted.map(async (task) => {
      const { stats } = await task.shim.task.stats({ id: task.id }, { timeout: STATE_TIMEOUT });
      const timestamp = BigInt(Date.now()) * 1_000_000n;
      return { containerId: task.id, timestamp, data: typedFromMessage(stats) };
    }),
  );
  return all.flatMap((metric) => (metric.status === "fulfilled" ? [metric.value] : []));
}

async function wait(task: Task, execId: string, signal: AbortSignal | undefined): Promise<TaskExit> {
  const cancel = new Cancel();
  const giveUp = (): void => cancel.cancel();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const { exitStatus, exitedAt } = await task.shim.task.wait({ id: task.id, execId }, { cancel });
    return { exitStatus, exitedAt: nanosecondsFromMessage(exitedAt) };
  } catch (thrown) {
    if (signal?.aborted || !(thrown instanceof Failure) || thrown.code !== "unavailable") throw thrown;
    return await task.gone;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}
