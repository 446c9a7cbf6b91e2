// The contract of core/tasks over this daemon's tasks: each call goes to the task's shim. A call that a dying shim left
// unanswered is answered from what the daemon found out.

import { CheckpointOptions } from "../../../api/task/gen/runc_options.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import type { Containers } from "../../../core/containers/store.ts";
import { fieldReader, parseFilters } from "../../../core/filters/filter.ts";
import { nanosecondsFromMessage, typedFromMessage, typedToMessage } from "../../../core/messages.ts";
import { statusFromMessage } from "../../../core/tasks/remote.ts";
import type { ProcessName, TaskExit, TaskMetric, TaskProcess, TaskService } from "../../../core/tasks/tasks.ts";
import { checkIdentifier, type TypedValue } from "../../../core/values.ts";
import { Cancel } from "../../../wire/call.ts";
import type { TaskCalls } from "../call/shim.ts";
import type { TaskManager } from "./manager.ts";
import type { Task } from "./task.ts";

const STATE_TIMEOUT = 5000; // milliseconds that one unresponsive shim may hold up a list

export function taskService(manager: TaskManager, containers: Containers, namespace: string): TaskService {
  const find = (containerId: string): Task => {
    containers.get(namespace, containerId);
    return manager.find(namespace, containerId);
  };
  const about = ({ containerId, execId }: ProcessName) => ({ id: containerId, execId });
  const ask = <Answer>(containerId: string, call: (shim: TaskCalls) => Promise<Answer>) =>
    callShim(find(containerId), call);
  return {
    create: async (task) => {
      const container = containers.get(namespace, task.containerId);
      if (task.checkpoint !== null) throw new Failure("unimplemented", "restoring a checkpoint is not supported yet");
      return (await manager.create(namespace, container, task)).pid;
    },
    start: (process) => start(find(process.containerId), about(process)),
    delete: async (containerId) => {
      const task = find(containerId);
      const answer = await callShim(task, (shim) => shim.delete({ id: containerId }));
      await manager.retire(task);
      const exit = { exitStatus: answer.exitStatus, exitedAt: nanosecondsFromMessage(answer.exitedAt) };
      return { ...exit, pid: answer.pid };
    },
    deleteProcess: async (process) => {
      const answer = await ask(process.containerId, (shim) => shim.delete(about(process)));
      return {
        pid: answer.pid,
        exitStatus: answer.exitStatus,
        exitedAt: nanosecondsFromMessage(answer.exitedAt),
      };
    },
    get: (process) => stateOf(find(process.containerId), process.execId),
    list: () => states(manager.list(namespace)),
    kill: async (process, signal, all) => {
      await ask(process.containerId, (shim) => shim.kill({ ...about(process), signal, all }));
    },
    exec: async ({ containerId, execId, stdin, stdout, stderr, terminal, spec }) => {
      checkIdentifier(execId);
      const io = { stdin, stdout, stderr, terminal };
      const request = { id: containerId, execId, ...io, spec: typedToMessage(spec) };
      await ask(containerId, (shim) => shim.exec(request));
    },
    resize: async (process, size) =>
      void (await ask(process.containerId, (shim) => shim.resizePty({ ...about(process), ...size }))),
    closeStdin: async (process) => {
      await ask(process.containerId, (shim) => shim.closeIO({ ...about(process), stdin: true }));
    },
    pause: async (containerId) => void (await once(find(containerId), (shim) => shim.pause({ id: containerId }))),
    resume: async (containerId) => void (await once(find(containerId), (shim) => shim.resume({ id: containerId }))),
    pids: async (containerId) => {
      const { processes } = await ask(containerId, (shim) => shim.pids({ id: containerId }));
      return processes.map(({ pid, info }) => ({ pid, info: typedFromMessage(info) }));
    },
    checkpoint: async (containerId, options) => {
      const request = { id: containerId, path: imagePath(options), options: typedToMessage(options) };
      await once(find(containerId), (shim) => shim.checkpoint(request));
    },
    update: async (containerId, resources, annotations) => {
      const changed = { resources: typedToMessage(resources), annotations: { ...annotations } };
      await ask(containerId, (shim) => shim.update({ id: containerId, ...changed }));
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
  const state = await callShim(task, (shim) => shim.state({ id: task.id, execId }, options));
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
      const { stats } = await callShim(task, (shim) => shim.stats({ id: task.id }, { timeout: STATE_TIMEOUT }));
      const timestamp = BigInt(Date.now()) * 1_000_000n;
      return { containerId: task.id, timestamp, data: typedFromMessage(stats) };
    }),
  );
  return all.flatMap((metric) => (metric.status === "fulfilled" ? [metric.value] : []));
}

/** A call that may be made again to the shim that took over from one which died with it. */
async function callShim<Answer>(task: Task, call: (shim: TaskCalls) => Promise<Answer>): Promise<Answer> {
  for (;;) {
    await task.settling?.catch(() => {});
    const { shim } = task;
    try {
      return await call(shim.task);
    } catch (thrown) {
      if (codeOf(thrown) !== "unavailable" || !(await task.replaced(shim).catch(() => false))) throw thrown;
    }
  }
}

/** A call that may be half done: whoever asked is told that its shim died. */
async function once<Answer>(task: Task, call: (shim: TaskCalls) => Promise<Answer>): Promise<Answer> {
  await task.settling?.catch(() => {});
  return call(task.shim.task);
}

/** Started by the shim that died, or again by the next one: its process is asked. */
async function start(task: Task, process: { id: string; execId: string }): Promise<number> {
  await task.settling?.catch(() => {});
  const { shim } = task;
  try {
    return (await shim.task.start(process)).pid;
  } catch (thrown) {
    if (codeOf(thrown) !== "unavailable" || !(await task.replaced(shim).catch(() => false))) throw thrown;
    const { status, pid } = await stateOf(task, process.execId).catch(() => {
      throw thrown;
    });
    return status === "created" ? (await task.shim.task.start(process)).pid : pid;
  }
}

async function wait(task: Task, execId: string, signal: AbortSignal | undefined): Promise<TaskExit> {
  const cancel = new Cancel();
  const giveUp = (): void => cancel.cancel();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const { exitStatus, exitedAt } = await callShim(task, (shim) => shim.wait({ id: task.id, execId }, { cancel }));
    return { exitStatus, exitedAt: nanosecondsFromMessage(exitedAt) };
  } catch (thrown) {
    if (signal?.aborted || !(thrown instanceof Failure) || thrown.code !== "unavailable") throw thrown;
    return await task.gone;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}
