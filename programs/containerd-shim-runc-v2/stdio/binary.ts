// binary:// and binary-v2:// streams: a logging program reads the process's output itself. It is given 3 (stdout),
// 4 (stderr) and 5, which it closes (binary-v2: writes a byte to) when it is ready, with CONTAINER_ID and
// CONTAINER_NAMESPACE in its environment.

import { Failure } from "../../../base/errors.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import * as fd from "../../../linux/fd.ts";
import { kill, SIGKILL, SIGTERM } from "../../../linux/signal.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { startProgram } from "../call/program.ts";
import { LOGGER_END_TIMEOUT, LOGGER_GRACE, LOGGER_START_TIMEOUT } from "../limits.ts";
import { parseUri } from "../uri.ts";
import type { IoParts, IoRequest } from "./io.ts";

export interface Logger {
  /** Owned: the process's ends. */
  stdout: fd.Fd;
  stderr: fd.Fd;
  /** Asks it to end; it is killed if it does not in time. Does not wait. */
  close: () => void;
}

export async function startLogger(parts: IoParts, uri: string, request: IoRequest): Promise<Logger> {
  const { scheme, path, query } = parseUri(uri);
  const args = [...query].flatMap(([key, value]) => (value === "" ? [key] : [key, value]));
  const env = [`CONTAINER_ID=${request.containerId}`, `CONTAINER_NAMESPACE=${request.namespace}`];
  const [stdout, stderr, ready] = [fd.pipe(), fd.pipe(), fd.pipe()];
  try {
    const descriptors = [null, null, null, stdout.read.number, stderr.read.number, ready.write.number];
    const pid = startProgram({ path, args, env, descriptors, tied: false });
    const close = ending(parts, pid);
    ready.write.close();
    if (!(await isReady(parts.runtime.loop, ready.read))) {
      close();
      throw new Failure("deadline_exceeded", `the logging program ${path} did not say that it is ready`);
    }
    // Of the first form the end alone says it, too.
    if (scheme === "binary-v2" && fd.read(ready.read.number, new Uint8Array(1)) === 0) {
      close();
      throw new Failure("unknown", `the logging program ${path} did not call ready: it may have ended too early`);
    }
    return { stdout: stdout.write, stderr: stderr.write, close };
  } catch (thrown) {
    stdout.write.close();
    stderr.write.close();
    throw thrown;
  } finally {
    for (const end of [stdout.read, stderr.read, ready.read, ready.write]) end.close();
  }
}

function ending(parts: IoParts, pid: number): () => void {
  let ended = false;
  let timeout: Disposable | null = null;
  parts.reaper.expect(pid, () => {
    ended = true;
    parts.lingering.delete(pid);
    timeout?.[Symbol.dispose]();
  });
  return () => {
    if (ended || timeout !== null) return;
    parts.lingering.add(pid);
    // The end of its input is what it waits for; a signal at once (the original's way) would cost the last lines of a
    // program that has no handler.
    timeout = parts.runtime.loop.timer(LOGGER_GRACE, () => {
      kill(pid, SIGTERM);
      timeout = parts.runtime.loop.timer(LOGGER_END_TIMEOUT, () => void kill(pid, SIGKILL));
    });
  };
}

/** A byte or the end of the pipe; false when neither comes in time. */
function isReady(loop: Loop, source: fd.Fd): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (ready: boolean) => {
      loop.unwatch(source.number);
      timeout[Symbol.dispose]();
      resolve(ready);
    };
    const timeout = loop.timer(LOGGER_START_TIMEOUT, () => finish(false));
    loop.watch(source.number, EPOLLIN, () => finish(true));
  });
}
