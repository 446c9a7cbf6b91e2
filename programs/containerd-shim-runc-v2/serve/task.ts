// The task service over ttrpc: containerd.task.v2 and v3 have the same messages, so the same handlers answer both.
// Requests are turned into calls of container.ts here and nowhere else.

import type { ProcessInfo } from "../../../api/containerd/gen/process.ts";
import { CheckpointOptions, ProcessDetails } from "../../../api/task/gen/runc_options.ts";
import * as task from "../../../api/task/gen/task_v3.ts";
import type { Timestamp } from "../../../api/wellknown/gen/time.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import { formatJson, type Json, parseJson } from "../../../base/json.ts";
import { processId } from "../../../linux/process.ts";
import type { CallContext, HandlersOf } from "../../../wire/call.ts";
import { keepAddress } from "../address.ts";
import { readStats } from "../cgroup/stats.ts";
import { Container } from "../container.ts";
import { keepOptions, parseOptions, rootOf, runtimeOf, withDefaults } from "../options.ts";
import type { Ended } from "../reaper.ts";
import type { Shim } from "../shim.ts";
import { timestamp } from "../time.ts";
import { announce } from "./announce.ts";

export const TaskV2 = { name: "containerd.task.v2.Task", methods: task.Task.methods };
export const TaskV3 = task.Task;

/** Names become file names in the bundle and arguments of the runtime. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/;

export function taskHandlers(shim: Shim): HandlersOf<typeof task.Task> {
  const container = (id: string): Container => {
    const found = shim.containers.get(id);
    if (found === undefined) throw new Failure("not_found", "container not created");
    return found;
  };
  return {
    ...lifeCycle(shim, container),
    ...streams(container),
    ...state(shim, container),
  };
}

type Find = (id: string) => Container;

function lifeCycle(shim: Shim, container: Find) {
  return {
    async create(request: task.CreateTaskRequest) {
      const created = newContainer(shim, request);
      // A pod's tasks may come without a `start` of their own, which would have written it.
      if (shim.sandbox !== null && shim.socket !== "") keepAddress(request.bundle, shim.socket);
      shim.containers.set(request.id, created);
      try {
        await created.create();
        return { pid: created.init.pid };
      } catch (thrown) {
        shim.containers.delete(request.id);
        throw thrown;
      }
    },
    async start(request: task.StartRequest) {
      return { pid: await container(request.id).start(request.execId) };
    },
    async delete(request: task.DeleteRequest) {
      const found = container(request.id);
      const gone = await found.delete(request.execId);
      if (request.execId === "") {
        shim.containers.delete(request.id);
        announce.delete(shim.events, found, gone);
      }
      return { pid: gone.pid, ...exitOf(gone.ended) };
    },
    async exec(request: task.ExecProcessRequest) {
      const { execId, stdin, stdout, stderr, terminal } = request;
      if (!NAME.test(execId)) throw new Failure("invalid_argument", `exec id ${JSON.stringify(execId)} is not valid`);
      if (request.spec === null) throw new Failure("invalid_argument", "a process to execute is missing");
      const spec = processSpec(request.spec.value, terminal);
      container(request.id).addExec(execId, { stdin, stdout, stderr, terminal }, spec);
      return {};
    },
    async kill(request: task.KillRequest) {
      await container(request.id).kill(request.execId, request.signal, request.all);
      return {};
    },
    async pause(request: task.PauseRequest) {
      await container(request.id).pause();
      return {};
    },
    async resume(request: task.ResumeRequest) {
      await container(request.id).resume();
      return {};
    },
    async checkpoint(request: task.CheckpointTaskRequest) {
      const found = container(request.id);
      const given = request.options;
      const options = given === null ? CheckpointOptions.create() : CheckpointOptions.decode(given.value);
      await found.checkpoint(checkpointArguments(options, request.path), options.workPath);
      announce.checkpointed(shim.events, found, request.path);
      return {};
    },
    async update(request: task.UpdateTaskRequest) {
      const found = container(request.id);
      if (request.resources === null) throw new Failure("invalid_argument", "the resources are missing");
      await found.update(decodeUtf8(request.resources.value));
      return {};
    },
    async shutdown() {
      if (shim.containers.size === 0 && shim.sandbox === null) shim.shutdown();
      return {};
    },
  };
}

function streams(container: Find) {
  return {
    async resizePty(request: task.ResizePtyRequest) {
      const process = container(request.id).process(request.execId);
      if (request.execId !== "" && process.status === "stopped") {
        throw new Failure("unknown", "cannot resize a stopped container");
      }
      process.io?.resize(request.width, request.height);
      return {};
    },
    async closeIO(request: task.CloseIORequest) {
      const process = container(request.id).process(request.execId);
      if (request.stdin) process.closeStdin();
      return {};
    },
  };
}

function state(shim: Shim, container: Find) {
  return {
    async state(request: task.StateRequest) {
      const found = container(request.id);
      const process = found.process(request.execId);
      return {
        id: request.execId === "" ? found.id : request.execId,
        bundle: found.bundle,
        pid: process.pid,
        status: found.statusOf(process),
        ...process.stdio,
        ...exitOf(process.ended),
        execId: request.execId,
      };
    },
    async wait(request: task.WaitRequest, caller: CallContext) {
      return exitOf(await container(request.id).process(request.execId).wait(caller));
    },
    async pids(request: task.PidsRequest) {
      const found = container(request.id);
      const pids = await found.pids();
      return { processes: pids.map((pid) => describe(found, pid)) };
    },
    async stats(request: task.StatsRequest) {
      const found = container(request.id);
      if (found.init.pid === 0) throw new Failure("not_found", "the process has not been created");
      return { stats: readStats(found.group()) };
    },
    async connect(request: task.ConnectRequest) {
      return { shimPid: processId(), taskPid: shim.containers.get(request.id)?.init.pid ?? 0, version: "" };
    },
  };
}

function newContainer(shim: Shim, request: task.CreateTaskRequest): Container {
  const { id, bundle, rootfs, checkpoint, stdin, stdout, stderr, terminal } = request;
  if (!NAME.test(id)) throw new Failure("invalid_argument", `identifier ${JSON.stringify(id)} is not valid`);
  if (!bundle.startsWith("/")) throw new Failure("invalid_argument", `bundle ${bundle} is not an absolute path`);
  if (shim.containers.has(id)) throw new Failure("already_exists", `container ${id}`);
  const options = withDefaults(parseOptions(request.options), shim.defaults);
  keepOptions(bundle, options);
  const flags = [...(options.noPivotRoot ? ["--no-pivot"] : []), ...(options.noNewKeyring ? ["--no-new-keyring"] : [])];
  const runc = {
    command: runtimeOf(options),
    root: rootOf(options, shim.namespace),
    bundle,
    systemdCgroup: options.systemdCgroup,
  };
  const { ioUid, ioGid, criuWorkPath } = options;
  const settings = { id, runc, rootfs, checkpoint, criuWork: criuWorkPath, createFlags: flags, ioUid, ioGid };
  return new Container(shim, settings, { stdin, stdout, stderr, terminal });
}

function exitOf(ended: Ended | null): { exitStatus: number; exitedAt: Timestamp | null } {
  return { exitStatus: ended?.code ?? 0, exitedAt: ended === null ? null : timestamp(ended.at) };
}

/** Whether there is a terminal is the request's to say. */
function processSpec(value: Uint8Array, terminal: boolean): string {
  const text = decodeUtf8(value);
  let spec: Json;
  try {
    spec = parseJson(text);
  } catch (thrown) {
    throw new Failure("invalid_argument", `the process to execute: ${messageOf(thrown)}`, { cause: thrown });
  }
  if (typeof spec !== "object" || spec === null || Array.isArray(spec)) {
    throw new Failure("invalid_argument", "the process to execute is no object");
  }
  return (spec["terminal"] === true) === terminal ? text : formatJson({ ...spec, terminal });
}

function describe(container: Container, pid: number): ProcessInfo {
  for (const exec of container.execs.values()) {
    if (exec.pid !== pid || exec.ended !== null) continue;
    const value = ProcessDetails.encode({ execId: exec.execId });
    return { pid, info: { typeUrl: ProcessDetails.typeName, value } };
  }
  return { pid, info: null };
}

function checkpointArguments(options: CheckpointOptions, path: string): string[] {
  const flag = (on: boolean, name: string) => (on ? [name] : []);
  const value = (text: string, name: string) => (text === "" ? [] : [name, text]);
  return [
    ...value(path === "" ? options.imagePath : path, "--image-path"),
    ...value(options.parentPath, "--parent-path"),
    ...flag(options.openTcp, "--tcp-established"),
    ...flag(options.externalUnixSockets, "--ext-unix-sk"),
    ...flag(options.terminal, "--shell-job"),
    ...flag(options.fileLocks, "--file-locks"),
    ...value(options.cgroupsMode, "--manage-cgroups-mode"),
    ...options.emptyNamespaces.flatMap((name) => ["--empty-ns", name]),
    ...flag(!options.exit, "--leave-running"),
  ];
}
