// The tasks service: messages to the contract of core/tasks and back.

import type { Tasks } from "../../../api/containerd/gen/tasks.ts";
import { Failure } from "../../../base/errors.ts";
import { nanosecondsToMessage, required, typedFromMessage, typedToMessage } from "../../../core/messages.ts";
import { processToMessage } from "../../../core/tasks/remote.ts";
import type { TaskExit, TaskService } from "../../../core/tasks/tasks.ts";
import type { CallContext, HandlersOf } from "../../../wire/call.ts";
import { namespaceOf, signalOf } from "./scope.ts";

export function serveTasks(tasks: (namespace: string) => TaskService): HandlersOf<typeof Tasks> {
  const of = (context: CallContext): TaskService => tasks(namespaceOf(context));
  return {
    async create(request, context) {
      const { containerId, stdin, stdout, stderr, terminal, rootfs, runtimePath } = request;
      if (request.checkpoint !== null) {
        throw new Failure("unimplemented", "creating a task from a checkpoint is not supported yet");
      }
      const options = typedFromMessage(request.options);
      const io = { stdin, stdout, stderr, terminal };
      const pid = await of(context).create({ containerId, ...io, rootfs, options, runtimePath, checkpoint: null });
      return { containerId, pid };
    },
    async start(request, context) {
      return { pid: await of(context).start(request) };
    },
    async delete({ containerId }, context) {
      const exit = await of(context).delete(containerId);
      return { id: containerId, pid: exit.pid, ...exitMessage(exit) };
    },
    async deleteProcess(request, context) {
      const exit = await of(context).deleteProcess(request);
      return { id: request.execId, pid: exit.pid, ...exitMessage(exit) };
    },
    async get(request, context) {
      return { process: processToMessage(await of(context).get(request)) };
    },
    async list(_request, context) {
      return { tasks: (await of(context).list()).map(processToMessage) };
    },
    async kill({ containerId, execId, signal, all }, context) {
      await of(context).kill({ containerId, execId }, signal, all);
      return {};
    },
    async exec({ containerId, execId, stdin, stdout, stderr, terminal, spec }, context) {
      const io = { stdin, stdout, stderr, terminal };
      await of(context).exec({ containerId, execId, ...io, spec: required(typedFromMessage(spec), "spec") });
      return {};
    },
    async resizePty({ containerId, execId, width, height }, context) {
      await of(context).resize({ containerId, execId }, { width, height });
      return {};
    },
    async closeIO({ containerId, execId, stdin }, context) {
      if (stdin) await of(context).closeStdin({ containerId, execId });
      return {};
    },
    async pause({ containerId }, context) {
      await of(context).pause(containerId);
      return {};
    },
    async resume({ containerId }, context) {
      await of(context).resume(containerId);
      return {};
    },
    async listPids({ containerId }, context) {
      const pids = await of(context).pids(containerId);
      return { processes: pids.map(({ pid, info }) => ({ pid, info: typedToMessage(info) })) };
    },
    async checkpoint({ containerId, options }, context) {
      await of(context).checkpoint(containerId, typedFromMessage(options));
      return { descriptors: [] };
    },
    async update({ containerId, resources, annotations }, context) {
      await of(context).update(containerId, typedFromMessage(resources), annotations);
      return {};
    },
    async metrics({ filters }, context) {
      const all = await of(context).metrics(filters);
      const metrics = all.map(({ containerId, timestamp, data }) => ({
        id: containerId,
        timestamp: nanosecondsToMessage(timestamp),
        data: typedToMessage(data),
      }));
      return { metrics };
    },
    async wait(request, context) {
      using caller = signalOf(context);
      return exitMessage(await of(context).wait(request, caller.signal));
    },
  };
}

function exitMessage({ exitStatus, exitedAt }: TaskExit) {
  return { exitStatus, exitedAt: nanosecondsToMessage(exitedAt) };
}
