// Hooks: programs of the host that config.json wants run at points of a container's life, with its state as JSON on
// their standard input. Who runs them, and in which namespaces, is the caller's matter.

import { Failure } from "../base/errors.ts";
import { formatJson } from "../base/json.ts";
import { monotonicMilliseconds } from "../linux/clock.ts";
import { closeOnExecFrom } from "../linux/credential.ts";
import { door } from "../linux/door.ts";
import { errnoSentence, must } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { execve, exit, fork, waitChild } from "../linux/process.ts";
import { kill, resetSignals, SIGKILL } from "../linux/signal.ts";
import type { HookSpec } from "./spec/schema.ts";
import { SPEC_VERSION } from "./version.ts";

/** Bytes of a hook's output that an error repeats. */
const OUTPUT_LIMIT = 64 << 10;
const EXIT_NOT_EXECUTED = 127;

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

/** Runs them in order; the first that fails ends it with runc's sentence. */
export function runHooks(hooks: readonly HookSpec[], state: HookState): void {
  if (hooks.length === 0) return;
  const input = formatJson(stateDocument(state));
  hooks.forEach((hook, index) => {
    const failure = runHook(hook, input);
    if (failure !== null) {
      throw new Failure("failed_precondition", `error running hook #${index}: error running hook: ${failure}`);
    }
  });
}

function runHook(hook: HookSpec, input: string): string | null {
  using stdin = memoryFile(input);
  const stdout = fs.pipe();
  const pid = fork();
  if (pid === 0) {
    fs.duplicateTo(stdin.number, 0);
    fs.duplicateTo(stdout.write.number, 1);
    fs.duplicateTo(stdout.write.number, 2);
    closeOnExecFrom(3);
    resetSignals();
    const errno = execve(hook.path, hook.args.length > 0 ? hook.args : [hook.path], hook.env);
    fs.writeAll(1, door().encode(errnoSentence(errno)));
    exit(EXIT_NOT_EXECUTED);
  }
  stdout.write.close();
  const { output, timedOut } = collect(stdout.read, pid, hook.timeout);
  const ended = waitChild(pid);
  if (timedOut) return `hook ran past specified timeout of ${(hook.timeout ?? 0).toFixed(1)}s`;
  if (ended === null || ended.code === 0) return null;
  const how = ended.signal === null ? `exit status ${ended.code}` : `signal: ${ended.signal}`;
  return `${how}, stdout: ${output}, stderr: `;
}

function collect(from: fs.Fd, pid: number, timeout: number | null): { output: string; timedOut: boolean } {
  using reader = from;
  const deadline =
    timeout === null || timeout <= 0 ? Number.POSITIVE_INFINITY : monotonicMilliseconds() + timeout * 1000;
  let output = "";
  const buffer = new Uint8Array(4096);
  for (;;) {
    const left =
      deadline === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil(deadline - monotonicMilliseconds()));
    // struct pollfd: int fd, short events (POLLIN), short revents
    const poll = Int32Array.of(reader.number, 1);
    if (door().syscall(nr.SYS_poll, poll, 1, left) === 0) {
      kill(pid, SIGKILL);
      return { output, timedOut: true };
    }
    const got = fs.read(reader.number, buffer) ?? 0;
    if (got === 0) return { output, timedOut: false };
    if (output.length < OUTPUT_LIMIT) output += door().decode(buffer, 0, got);
  }
}

function memoryFile(text: string): fs.Fd {
  const MFD_CLOEXEC = 1;
  const file = new fs.Fd(must("memfd_create", "", door().syscall(nr.SYS_memfd_create, "hook-state", MFD_CLOEXEC)));
  fs.writeAll(file.number, door().encode(text));
  door().syscall(nr.SYS_lseek, file.number, 0, 0);
  return file;
}
