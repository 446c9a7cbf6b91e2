// ctr tasks: what runs.

import { Failure } from "../../../base/errors.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool, text } from "../cli/flag.ts";
import { type Invocation, print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, WIDE } from "../cli/table.ts";
import { TASK_FLAGS } from "../run/flags.ts";
import { EXEC } from "./task-exec.ts";
import { METRICS } from "./task-metrics.ts";

const STOP_SIGNAL_LABEL = "io.containerd.image.config.stop-signal";

function idOf(call: Invocation): string {
  if (call.arg(0) === "") throw new Failure("invalid_argument", "container id must be provided");
  return call.arg(0);
}

const ATTACH: Command = {
  names: ["attach"],
  usage: "attach to the IO of a running container",
  argsUsage: "CONTAINER",
  async action(call) {
    const { attachTask } = await import("../run/task.ts");
    return attachTask((await call.session()).nouns, call.arg(0));
  },
};

const START: Command = {
  names: ["start"],
  usage: "start a container that has been created",
  argsUsage: "CONTAINER",
  flags: [...TASK_FLAGS, bool("no-pivot", "disable use of pivot-root (linux only)")],
  async action(call) {
    const id = idOf(call);
    const { nouns } = await call.session();
    const { startTask } = await import("../run/task.ts");
    return startTask(nouns, await nouns.containers.get(id), {
      nullIo: call.bool("null-io"),
      logUri: call.string("log-uri"),
      fifoDirectory: call.string("fifo-dir"),
      detach: call.bool("detach"),
      pidFile: call.string("pid-file"),
      noPivot: call.bool("no-pivot"),
    });
  },
};

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list tasks",
  argsUsage: "[flags]",
  flags: [bool("quiet, q", "print only the task id")],
  async action(call) {
    const { nouns } = await call.session();
    const all = await nouns.tasks.list();
    const nameOf = (task: (typeof all)[number]) => task.containerId || task.id;
    if (call.bool("quiet")) {
      print(all.map((task) => `${nameOf(task)}\n`).join(""));
      return;
    }
    const rows = all.map((task) => `${nameOf(task)}\t${task.pid}\t${task.status.toUpperCase()}\n`);
    print(formatTable(`TASK\tPID\tSTATUS\t\n${rows.join("")}`, WIDE));
  },
};

const KILL: Command = {
  names: ["kill"],
  usage: "signal a container (default: SIGTERM)",
  argsUsage: "[flags] CONTAINER",
  flags: [
    text("signal, s", "signal to send to the container"),
    text("exec-id", "process ID to kill"),
    bool("all, a", "send signal to all processes inside the container"),
  ],
  async action(call) {
    const id = idOf(call);
    if (call.bool("all") && call.string("exec-id") !== "") {
      throw new Failure("invalid_argument", "specify an exec-id or all; not both");
    }
    const { parseSignal } = await import("../io/signals.ts");
    const { taskOf } = await import("../run/task.ts");
    const { nouns } = await call.session();
    const given = call.string("signal") === "" ? null : parseSignal(call.string("signal"));
    const { container } = await taskOf(nouns, id);
    const signal = given ?? parseSignal(container.labels[STOP_SIGNAL_LABEL] || "SIGTERM");
    await nouns.tasks.kill({ containerId: id, execId: call.string("exec-id") }, signal, call.bool("all"));
  },
};

const DELETE: Command = {
  names: ["delete", "del", "remove", "rm"],
  usage: "delete one or more tasks",
  argsUsage: "CONTAINER [CONTAINER, ...]",
  flags: [bool("force, f", "force delete task process"), text("exec-id", "process ID to kill")],
  async action(call) {
    const { nouns } = await call.session();
    const { deleteProcess, taskOf } = await import("../run/task.ts");
    const execId = call.string("exec-id");
    if (execId !== "") {
      await taskOf(nouns, call.arg(0));
      const process = await nouns.tasks.get({ containerId: call.arg(0), execId });
      const owned = { ...process, containerId: call.arg(0) };
      return (await deleteProcess(nouns, owned, execId, call.bool("force"))).exitStatus;
    }
    const failures: unknown[] = [];
    for (const id of call.args) {
      let doing = `failed to load task from ${id}`;
      try {
        const { task } = await taskOf(nouns, id);
        doing = `unable to delete ${id}`;
        const { exitStatus } = await deleteProcess(nouns, { ...task, containerId: id }, "", call.bool("force"));
        if (exitStatus !== 0) log("warning", `task ${id} exit with non-zero exit code ${exitStatus}`);
      } catch (thrown) {
        failures.push(thrown);
        log("error", doing, sentenceOf(thrown));
      }
    }
    if (failures.length > 0) throw failures[0];
    return 0;
  },
};

function freezing(how: "pause" | "resume", usage: string): Command {
  return {
    names: [how],
    usage,
    argsUsage: "CONTAINER",
    async action(call) {
      const { nouns } = await call.session();
      const { taskOf } = await import("../run/task.ts");
      await taskOf(nouns, call.arg(0));
      await nouns.tasks[how](call.arg(0));
    },
  };
}

const PS: Command = {
  names: ["ps"],
  usage: "list processes for container",
  argsUsage: "CONTAINER",
  async action(call) {
    const id = idOf(call);
    const { nouns } = await call.session();
    const { taskOf } = await import("../run/task.ts");
    const { eventJson } = await import("../call/any-json.ts");
    await taskOf(nouns, id);
    const rows = (await nouns.tasks.pids(id)).map(({ pid, info }) => {
      const execId = info === null ? undefined : eventJson(info)?.["exec_id"];
      // The original prints its Go value, and scripts look for it.
      return `${pid}\t${execId === undefined ? "-" : `&ProcessDetails{ExecID:${execId},XXX_unrecognized:[],}`}\n`;
    });
    print(formatTable(`PID\tINFO\n${rows.join("")}`, WIDE));
  },
};

export const TASKS: Command = {
  names: ["tasks", "t", "task"],
  usage: "manage tasks",
  commands: [
    ATTACH,
    DELETE,
    EXEC,
    LIST,
    KILL,
    freezing("pause", "pause an existing container"),
    PS,
    freezing("resume", "resume a paused container"),
    START,
    METRICS,
  ],
};
