// The runtime that the shim carries: when the runtime of a task is our own (the same file as this program), what
// changes containers is done by a clone of the shim, with the code that `runc` itself is (container/). The clone goes
// on in the warm image: no program is executed or started, and nothing of it stays.
//
//     shim ──fork──▶ clone: descriptors closed, signals as after an execve ──▶ container/ ──▶ exit code, log.json
//       ▲                                         └──▶ the container's first process, which becomes the shim's child
//       └── SIGCHLD ◀──┘
//
// It is asked in the words of the runtime's command line, as a runtime that the user names is (runc.ts), and leaves the
// same on disk, so `runc list`, `exec` and `delete` serve its containers too.

import { messageOf } from "../../../base/errors.ts";
import { FlagSet } from "../../../base/flags/flagset.ts";
import {
  type Caller,
  checkSystemd,
  createDetached,
  deleteContainer,
  execute,
  prefixed,
  startDetached,
} from "../../../container/detached.ts";
import { signalContainer } from "../../../container/kill.ts";
import { pauseContainer, resumeContainer } from "../../../container/pause.ts";
import { parseConfig } from "../../../container/plan.ts";
import { pidsAsJson, processesOf } from "../../../container/processes.ts";
import { isSealed } from "../../../container/seal.ts";
import { checkProcess } from "../../../container/spec/check.ts";
import { readProcess } from "../../../container/spec/schema.ts";
import { loadContainer, stateAsJson } from "../../../container/state.ts";
import { resourcesFrom, updateContainer } from "../../../container/update.ts";
import { formatTime, wallNanoseconds } from "../../../linux/clock.ts";
import { door } from "../../../linux/door.ts";
import { variable } from "../../../linux/environment.ts";
import * as fd from "../../../linux/fd.ts";
import { exit, fork, parentId, processId, setName, setParentDeathSignal } from "../../../linux/process.ts";
import { restoreFileLimit } from "../../../linux/resource.ts";
import { restoreMask, SIGHUP, SIGKILL, SIGPIPE, setDisposition } from "../../../linux/signal.ts";
import { connectUnix } from "../../../linux/socket.ts";

const FIRST_OTHER = 3;

/** One command of the runtime, from its name on. */
type Command = (line: { flags: FlagSet; args: readonly string[] }, caller: Caller) => void;

const COMMANDS: Readonly<Record<string, Command>> = {
  ...{ create, start, exec, kill, delete: remove, state, ps, update },
  pause: ({ args: [id] }, { root }) => pauseContainer(loadContainer(root, id!)),
  resume: ({ args: [id] }, { root }) => resumeContainer(loadContainer(root, id!)),
};
/** Those that enter a container: the executable must be out of its reach. */
const ENTERING: readonly string[] = ["create", "exec"];

/** Whether a command of the runtime at this path can be done by a clone. */
export function carries(path: string, command: string): boolean {
  if (COMMANDS[command] === undefined || (ENTERING.includes(command) && !isSealed())) return false;
  const [runtime, own] = [fd.stat(path), fd.stat("/proc/self/exe")];
  return runtime !== null && own !== null && runtime.device === own.device && runtime.inode === own.inode;
}

export interface CarriedCall {
  /** The command and what follows it. */
  args: readonly string[];
  root: string;
  systemdCgroup: boolean;
  /** Where warnings and the reason of a failure are written, as JSON lines. */
  log: string;
  /** Borrowed descriptors for the clone's standard streams; null is /dev/null, which the shim's own are. */
  descriptors: readonly (number | null)[];
}

/** The clone's pid. It ends with 0, or with 1 and a last line of level "error" in its log, and dies with the shim. */
export function startCarried(call: CarriedCall): number {
  const maker = processId();
  const pid = fork();
  if (pid !== 0) return pid;
  let code = 1;
  try {
    setParentDeathSignal(SIGKILL);
    if (parentId() !== maker) exit(1);
    separate(call.descriptors);
    perform(call);
    code = 0;
  } catch (thrown) {
    writeLine(call.log, "error", messageOf(thrown));
  }
  return exit(code);
}

/** As a program that was just executed: nothing of the shim's is open, blocked, ignored or raised. */
function separate(descriptors: CarriedCall["descriptors"]): void {
  setName("runc");
  descriptors.forEach((source, target) => {
    if (source !== null) fd.duplicateTo(source, target);
  });
  fd.closeAllBut([], FIRST_OTHER);
  for (const signal of [SIGPIPE, SIGHUP]) setDisposition(signal, "default");
  restoreFileLimit();
  restoreMask(BigInt64Array.of(0n));
}

function perform({ args: [name, ...args], root, systemdCgroup, log }: CarriedCall): void {
  const caller: Caller = {
    ...{ root, rootless: "auto", systemd: systemdCgroup, variable },
    warn: (message) => writeLine(log, "warning", message),
    debug: null,
  };
  checkSystemd(caller);
  COMMANDS[name!]!({ flags: new FlagSet("go"), args }, caller);
}

function writeLine(log: string, level: string, message: string): void {
  try {
    using file = fd.open(log, fd.O_WRONLY | fd.O_APPEND | fd.O_CREAT, 0o644);
    const time = formatTime(wallNanoseconds());
    fd.writeAll(file.number, door().encode(`${JSON.stringify({ level, msg: message, time })}\n`));
  } catch {
    // The exit code says that it failed.
  }
}

function create({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  const text = (name: string) => flags.string(name, "", "");
  const [bundle, pidFile, console] = [text("bundle"), text("pid-file"), text("console-socket")];
  const [noPivot, noNewKeyring] = [flags.bool("no-pivot", "", ""), flags.bool("no-new-keyring", "", "")];
  const [id] = flags.parse(args);
  const request = {
    ...{ id: id!, bundle: bundle.value, noPivot: noPivot.value, noNewKeyring: noNewKeyring.value, preserve: 0 },
    ...{ console: console.value, pidfd: "", pidFile: pidFile.value },
  };
  createDetached(request, caller);
}

function start({ args: [id] }: Parameters<Command>[0], caller: Caller): void {
  startDetached(id!, caller);
}

function exec({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  const text = (name: string) => flags.string(name, "", "");
  const [file, pidFile, socket] = [text("process"), text("pid-file"), text("console-socket")];
  flags.bool("detach", "", "");
  const [id] = flags.parse(args);
  prefixed("exec failed: ", () => {
    const container = loadContainer(caller.root, id!);
    const process = checkProcess(readProcess(parseConfig(fd.readText(file.value), file.value), "process"));
    using console = socket.value === "" ? null : connectUnix(socket.value);
    const request = {
      ...{ container, process, ignorePaused: false, subgroups: null, console: console?.number ?? null },
      ...{ preserve: 0, pidfd: "", pidFile: pidFile.value },
    };
    execute(request, caller, () => {});
  });
}

function kill({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  const all = flags.bool("all", "", "");
  const [id, signal] = flags.parse(args);
  const container = loadContainer(caller.root, id!);
  signalContainer(container, { signal: Number(signal), all: all.value, warn: caller.warn });
}

function remove({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  const force = flags.bool("force", "", "");
  const [id] = flags.parse(args);
  deleteContainer(id!, force.value, caller);
}

function state({ args: [id] }: Parameters<Command>[0], caller: Caller): void {
  say(stateAsJson(loadContainer(caller.root, id!)));
}

function ps({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  flags.string("format", "", "");
  const [id] = flags.parse(args);
  say(pidsAsJson(processesOf(loadContainer(caller.root, id!))));
}

function update({ flags, args }: Parameters<Command>[0], caller: Caller): void {
  const file = flags.string("resources", "", "");
  const [id] = flags.parse(args);
  updateContainer(loadContainer(caller.root, id!), resourcesFrom(file.value));
}

function say(text: string): void {
  fd.writeAll(1, door().encode(text));
}
