// Starting another program: a plain clone, descriptors put in place, execve. The reason of a failed execve comes back
// over a close-on-exec pipe, so that the caller gets it as an exception and not as exit code 127.

import { Failure } from "../../base/errors.ts";
import type { ByteStream, Child, SpawnOptions, SpawnResult } from "../../base/runtime.ts";
import { EPOLLIN } from "../../linux/epoll.ts";
import { SyscallFailure } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import { clone, execve, exit, waitChild } from "../../linux/process.ts";
import { resetSignals } from "../../linux/signal.ts";
import type { Loop } from "./loop.ts";
import { FdStream } from "./stream.ts";

/** Throws SyscallFailure "exec" when the program cannot be executed. `path` is not searched for in PATH. */
export function spawn(loop: Loop, path: string, options: SpawnOptions): Child {
  using failure = ownedPipe();
  using stdin = options.stdin === "pipe" ? ownedPipe() : null;
  using stdout = options.stdout === "pipe" ? ownedPipe() : null;
  const child = clone({ flags: 0n, cgroup: null, pidfd: true });
  if (child.pid === 0) becomeProgram(path, options, { failure, stdin, stdout });
  failure.write.close();
  const reason = fd.readAll(failure.read.number, 16);
  if (reason.length > 0) {
    waitChild(child.pid);
    child.pidfd?.close();
    throw new SyscallFailure("exec", reason[0]!, path);
  }
  return {
    pid: child.pid,
    stdin: stdin === null ? null : stream(loop, stdin.write),
    stdout: stdout === null ? null : stream(loop, stdout.read),
    wait: waiting(loop, child.pid, child.pidfd!),
  };
}

type Pipe = { read: fd.Fd; write: fd.Fd } & Disposable;

function ownedPipe(): Pipe {
  const ends = fd.pipe();
  return {
    ...ends,
    [Symbol.dispose]() {
      ends.read.close();
      ends.write.close();
    },
  };
}

function stream(loop: Loop, end: fd.Fd): ByteStream {
  const own = new fd.Fd(end.release());
  fd.setNonBlocking(own.number, true);
  return new FdStream(loop, own, "file");
}

function becomeProgram(
  path: string,
  options: SpawnOptions,
  pipes: { failure: Pipe; stdin: Pipe | null; stdout: Pipe | null },
): never {
  let errno = 0;
  try {
    if (pipes.stdin !== null) fd.duplicateTo(pipes.stdin.read.number, 0);
    else if (options.stdin === "ignore") fd.duplicateTo(fd.open("/dev/null", fd.O_RDONLY).release(), 0);
    if (pipes.stdout !== null) fd.duplicateTo(pipes.stdout.write.number, 1);
    else if (options.stdout === "ignore") fd.duplicateTo(fd.open("/dev/null", fd.O_WRONLY).release(), 1);
    if (options.cwd !== undefined) fd.changeDirectory(options.cwd);
    resetSignals();
    const env = Object.entries(options.env ?? {}).map(([key, value]) => `${key}=${value}`);
    errno = execve(path, [path, ...options.args], env);
  } catch (thrown) {
    errno = thrown instanceof SyscallFailure ? thrown.errno : 5;
  }
  fd.write(pipes.failure.write.number, Uint8Array.of(errno));
  exit(127);
}

/** The exit is read once; all callers of wait share it. */
function waiting(loop: Loop, pid: number, pidfd: fd.Fd): () => Promise<SpawnResult> {
  let result: Promise<SpawnResult> | null = null;
  return () => {
    result ??= new Promise((resolve, reject) => {
      loop.watch(pidfd.number, EPOLLIN, () => {
        loop.unwatch(pidfd.number);
        pidfd.close();
        const exit = waitChild(pid);
        if (exit === null) reject(new Failure("internal", `the child ${pid} was waited for by someone else`));
        else resolve({ exitCode: exit.code });
      });
    });
    return result;
  };
}
