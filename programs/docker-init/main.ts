// docker-init: PID 1 of a container started with --init. It starts the program, passes every signal on to it, reaps
// whatever is orphaned, and ends with the program's exit code as soon as it has ended; the kernel kills the rest.
//
//     main ──fork──▶ child: own process group, terminal, signals as they were ──execvp──▶ the program
//       └─ sigwait ─┬─ SIGCHLD: nothing to pass on
//                   ├─ else: kill(child or its group)
//                   └─ then reap all; child among them ──▶ its exit code
//
// It sleeps in one sigwait without a timeout and without an event loop: a container pays for it as long as it lives.

import { type Door, door, installDoor } from "../../linux/door.ts";
import { EACCES, ENOENT, ENOEXEC, ENOTDIR, ENOTTY, ENXIO, errnoOf, errnoSentence } from "../../linux/errno.ts";
import { moveToOwnGroup, processGroup, setForegroundGroup } from "../../linux/job.ts";
import * as process from "../../linux/process.ts";
import * as signal from "../../linux/signal.ts";
import { NOT_REAPING, Voice } from "./messages.ts";
import { type Options, readOptions } from "./options.ts";

/** Left to the kernel: the synchronous ones, which mean a defect of our own, and the two that are ignored below. */
const NOT_FORWARDED = [4, 5, 6, 7, 8, 11, 31, signal.SIGTTIN, signal.SIGTTOU];
const DEFAULT_PATH = "/usr/local/bin:/bin:/usr/bin";

interface Before {
  mask: BigInt64Array;
  ttin: BigInt64Array;
  ttou: BigInt64Array;
}

export function main(given: Door): number {
  installDoor(given);
  const options = readOptions(given.args, given.env);
  if (typeof options === "number") return options;
  const voice = new Voice(options.verbosity);
  try {
    return supervise(options, voice);
  } catch (thrown) {
    voice.say(0, thrown instanceof Error ? thrown.message : String(thrown));
    return 1;
  }
}

function supervise(options: Options, voice: Voice): number {
  // Blocked before the fork: no signal between here and the first wait is lost.
  const before: Before = {
    mask: signal.blockAllBut(NOT_FORWARDED),
    ttin: signal.ignoreSignal(signal.SIGTTIN),
    ttou: signal.ignoreSignal(signal.SIGTTOU),
  };
  if (options.parentDeath > 0) process.setParentDeathSignal(options.parentDeath);
  if (options.subreaper) {
    process.setChildSubreaper();
    voice.say(4, "Registered as child subreaper");
  }
  if (process.processId() !== 1 && !process.isChildSubreaper()) voice.say(1, NOT_REAPING);
  const child = process.fork();
  if (child === 0) process.exit(becomeProgram(options.command, before, voice));
  voice.say(2, `Spawned child process '${options.command[0]}' with pid '${child}'`);
  for (;;) {
    forward(signal.waitSignal(NOT_FORWARDED), options.toGroup ? -child : child, voice);
    const code = reap(child, options, voice);
    if (code === null) continue;
    voice.say(4, "Exiting: child has exited");
    return options.expected.has(code) ? 0 : code;
  }
}

/** Runs in the child. Returns only when the program could not be executed, with the exit code. */
function becomeProgram(command: readonly string[], before: Before, voice: Voice): number {
  moveToOwnGroup();
  try {
    setForegroundGroup(0, processGroup());
  } catch (thrown) {
    if (errnoOf(thrown) === ENOTTY) voice.say(3, "tcsetpgrp failed: no tty (ok to proceed)");
    else if (errnoOf(thrown) === ENXIO) voice.say(3, "tcsetpgrp failed: no such device (ok to proceed)");
    else {
      voice.say(0, `tcsetpgrp failed: ${sentence(errnoOf(thrown))}`);
      return 1;
    }
  }
  signal.restoreMask(before.mask);
  signal.restoreDisposition(signal.SIGTTIN, before.ttin);
  signal.restoreDisposition(signal.SIGTTOU, before.ttou);
  const errno = executeFromPath(command);
  voice.say(0, `exec ${command[0]} failed: ${sentence(errno)}`);
  return errno === ENOENT ? 127 : errno === EACCES ? 126 : 1;
}

/** execvp: a name without a slash is looked for in PATH; what the kernel does not know as a format is given to sh. */
function executeFromPath(command: readonly string[]): number {
  const name = command[0]!;
  if (name === "") return ENOENT;
  if (name.includes("/")) return execute(name, command);
  const path = door().env.find((entry) => entry.startsWith("PATH="));
  let result = ENOENT;
  for (const folder of (path?.slice("PATH=".length) ?? DEFAULT_PATH).split(":")) {
    const errno = execute(folder === "" ? name : `${folder}/${name}`, command);
    if (errno === EACCES) result = EACCES;
    else if (errno !== ENOENT && errno !== ENOTDIR) return errno;
  }
  return result;
}

function execute(path: string, command: readonly string[]): number {
  const errno = process.execve(path, command, door().env);
  return errno === ENOEXEC ? process.execve("/bin/sh", ["/bin/sh", path, ...command.slice(1)], door().env) : errno;
}

function forward(number: number, target: number, voice: Voice): void {
  if (number === signal.SIGCHLD) {
    voice.say(3, "Received SIGCHLD");
    return;
  }
  voice.say(3, `Passing signal: '${signal.signalSentence(number)}'`);
  if (!signal.kill(target, number)) voice.say(1, "Child was dead when forwarding signal");
}

/** Takes every ended process; the exit code once the child is among them. */
function reap(child: number, options: Options, voice: Voice): number | null {
  let code: number | null = null;
  for (let exit = process.waitChild(-1, process.WNOHANG); exit !== null; ) {
    voice.say(3, `Reaped child with pid: '${exit.pid}'`);
    if (exit.pid !== child) {
      if (options.warnOnReap) voice.say(1, `Reaped zombie process with pid=${exit.pid}`);
    } else {
      code = exit.code;
      if (exit.signal === null) voice.say(2, `Main child exited normally (with status '${exit.code}')`);
      else voice.say(2, `Main child exited with signal (with signal '${signal.signalSentence(exit.signal)}')`);
    }
    exit = process.waitChild(-1, process.WNOHANG);
  }
  voice.say(4, code === null ? "No child to reap" : "No child to wait");
  return code;
}

/** glibc's words begin with a capital. */
function sentence(errno: number): string {
  const text = errnoSentence(errno);
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
