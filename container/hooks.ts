// Hooks: programs of the host that config.json wants run at points of a container's life, with its state as JSON on
// their standard input. Who runs them, and in which namespaces, is the caller's matter.

import { Failure, messageOf } from "../base/errors.ts";
import { formatJson } from "../base/json.ts";
import { monotonicMilliseconds } from "../linux/clock.ts";
import { closeOnExecFrom } from "../linux/credential.ts";
import { door } from "../linux/door.ts";
import { errnoSentence, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { execve, exit, fork, waitChild } from "../linux/process.ts";
import { kill, resetSignals, SIGKILL, signalSentence } from "../linux/signal.ts";
import type { HookSpec, Hooks } from "./spec/schema.ts";
import { SPEC_VERSION } from "./version.ts";

/** Bytes of a hook's output that an error repeats. */
const OUTPUT_LIMIT = 64 << 10;
const EXIT_NOT_EXECUTED = 127;
const POLLIN = 1;

export interface HookState {
  id: string;
  pid: number;
  status: string;
  bundle: string;
  annotations: Record<string, string>;
}

/** State of the runtime-spec. */
export function stateDocument({ annotations, ...state }: HookState): object {
  const some = Object.keys(annotations).length > 0;
  return { ociVersion: SPEC_VERSION, ...state, ...(some ? { annotations } : {}) };
}

export interface HookRound {
  /** As config.json names the list: it stands in the sentence of a failure. */
  kind: keyof Hooks;
  hooks: readonly HookSpec[];
  /** For hooks that name no environment of their own. */
  environment: readonly string[];
  state: HookState;
  /** In the hook's process, the last thing before its program. */
  confine?: () => void;
}

/** Runs them in order; the first that fails ends it with runc's sentence. */
export function runHooks({ kind, hooks, environment, state, confine }: HookRound): void {
  if (hooks.length === 0) return;
  const input = formatJson(stateDocument(state));
  hooks.forEach((hook, index) => {
    const failure = runHook(hook, { environment: hook.env ?? environment, input, confine: confine ?? null });
    if (failure !== null) {
      throw new Failure("failed_precondition", `error running ${kind} hook #${index}: ${failure}`);
    }
  });
}

/** Those of the host's namespaces, before the root is entered. */
export function runEarlyHooks(hooks: Hooks | null, state: HookState): void {
  for (const kind of ["prestart", "createRuntime"] as const) {
    runHooks({ kind, hooks: hooks?.[kind] ?? [], environment: door().env, state });
  }
}

interface HookStart {
  environment: readonly string[];
  input: string;
  confine: (() => void) | null;
}

function runHook(hook: HookSpec, { environment, input, confine }: HookStart): string | null {
  using stdin = memoryFile(input);
  const [stdout, stderr, refusal] = [fs.pipe(), fs.pipe(), fs.pipe()] as const;
  const pid = fork();
  if (pid === 0) {
    const outputs = [stdout.write.number, stderr.write.number, refusal.write.number] as const;
    becomeHook(hook, environment, { input: stdin.number, outputs, confine });
  }
  for (const { write } of [stdout, stderr, refusal]) write.close();
  const { texts, timedOut } = collect([stdout.read, stderr.read, refusal.read], pid, hook.timeout);
  const ended = waitChild(pid);
  if (timedOut) return `hook ran past specified timeout of ${(hook.timeout ?? 0).toFixed(1)}s`;
  if (ended === null || ended.code === 0) return null;
  const [output, errors, refused] = texts;
  if (refused !== "") return refused!;
  const how =
    ended.signal === null ? `exit status ${ended.code}` : `signal: ${signalSentence(ended.signal).toLowerCase()}`;
  return `${how}, stdout: ${output}, stderr: ${errors}`;
}

interface Streams {
  input: number;
  /** Standard output, standard error, and what the runtime says when the program cannot be executed. */
  outputs: readonly [number, number, number];
  /** What the hook is to be kept from, last of all. */
  confine: (() => void) | null;
}

/** In a copy of the runtime: whatever fails, it must not go on as one. */
function becomeHook(hook: HookSpec, environment: readonly string[], streams: Streams): never {
  const { input, outputs, confine } = streams;
  try {
    fs.duplicateTo(input, 0);
    fs.duplicateTo(outputs[0], 1);
    fs.duplicateTo(outputs[1], 2);
    closeOnExecFrom(3);
    resetSignals();
    confine?.();
    const errno = execve(hook.path, hook.args.length > 0 ? hook.args : [hook.path], environment);
    fs.writeAll(outputs[2], door().encode(`fork/exec ${hook.path}: ${errnoSentence(errno)}`));
  } catch (thrown) {
    attemptToSay(outputs[2], `fork/exec ${hook.path}: ${messageOf(thrown)}`);
  }
  return exit(EXIT_NOT_EXECUTED);
}

function attemptToSay(fd: number, text: string): void {
  try {
    fs.writeAll(fd, door().encode(text));
  } catch {
    // The exit code says that it did not run.
  }
}

/** What comes out of each until all have ended; a hook that takes too long (seconds) is killed. */
function collect(from: fs.Fd[], pid: number, timeout: number | null): { texts: string[]; timedOut: boolean } {
  const deadline =
    timeout === null || timeout <= 0 ? Number.POSITIVE_INFINITY : monotonicMilliseconds() + timeout * 1000;
  const texts = from.map(() => "");
  // struct pollfd: int fd, short events (POLLIN), short revents; a negative fd is skipped
  const poll = Int32Array.from(from.flatMap(({ number }) => [number, POLLIN]));
  const buffer = new Uint8Array(4096);
  for (let open = from.length; open > 0; ) {
    const left =
      deadline === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil(deadline - monotonicMilliseconds()));
    if (door().syscall(nr.SYS_poll, poll, from.length, left) === 0) {
      kill(pid, SIGKILL);
      for (const reader of from) reader.close();
      return { texts, timedOut: true };
    }
    from.forEach((reader, at) => {
      if (poll[2 * at]! < 0 || poll[2 * at + 1]! >> 16 === 0) return;
      const got = fs.read(reader.number, buffer) ?? 0;
      if (got === 0) {
        poll[2 * at] = -1;
        reader.close();
        open--;
      } else if (texts[at]!.length < OUTPUT_LIMIT) texts[at] += door().decode(buffer, 0, got);
    });
  }
  return { texts, timedOut: false };
}

function memoryFile(text: string): fs.Fd {
  const MFD_CLOEXEC = 1;
  const file = new fs.Fd(must("memfd_create", "", door().syscall(nr.SYS_memfd_create, "hook-state", MFD_CLOEXEC)));
  fs.writeAll(file.number, door().encode(text));
  door().syscall(nr.SYS_lseek, file.number, 0, 0);
  return file;
}
