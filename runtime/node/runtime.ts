// The Node body of base/runtime.ts. Entries of programs that run on Node (dockerd, containerd, ctr, and docker where it
// needs TLS or a resolver) build it once and hand it to main.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import path from "node:path";
import tty from "node:tty";
import { installUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { Child, Clock, Runtime, SpawnOptions, SpawnResult, Terminal } from "../../base/runtime.ts";
import { nodeFiles } from "./files.ts";
import { connectTcp, connectUnix } from "./socket.ts";
import { PipeStream } from "./stream.ts";
import { nodeUtf8 } from "./utf8.ts";

/** Installs the native UTF-8 codec, too. */
export function createNodeRuntime(options: { args: readonly string[]; programName: string }): Runtime {
  installUtf8(nodeUtf8);
  return {
    engine: "node",
    args: options.args,
    programName: path.basename(options.programName),
    env: environment(),
    clock: nodeClock,
    files: nodeFiles(),
    terminal: nodeTerminal,
    stdin: new PipeStream({ readable: () => process.stdin }),
    stdout: new PipeStream({ writable: () => process.stdout }),
    stderr: new PipeStream({ writable: () => process.stderr }),
    connectUnix,
    connectTcp,
    onSignal,
    spawn: spawnChild,
    replace: runInstead,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    exit: (code) => process.exit(code),
  };
}

export const nodeClock: Clock = {
  now: () => Date.now(),
  nowNanoseconds: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  monotonic: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  timer(milliseconds, expired) {
    const timer = setTimeout(expired, milliseconds);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

const nodeTerminal: Terminal = {
  isTerminal: (fd) => tty.isatty(fd),
  size(fd) {
    if (!tty.isatty(fd)) return null;
    const standard = fd === 1 ? process.stdout : process.stderr;
    const stream = fd === 0 ? new tty.WriteStream(0) : (standard as tty.WriteStream);
    const [columns, rows] = stream.getWindowSize();
    if (fd === 0) stream.destroy();
    return { columns, rows };
  },
  raw(fd) {
    if (fd !== 0 || !process.stdin.isTTY) return null;
    const stdin = process.stdin;
    stdin.setRawMode(true);
    return { [Symbol.dispose]: () => void stdin.setRawMode(false) };
  },
};

function environment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  return env;
}

function onSignal(name: string, arrived: () => void): Disposable {
  if (!(name in constants.signals)) throw new Failure("invalid_argument", `unknown signal ${name}`);
  process.on(name, arrived);
  return { [Symbol.dispose]: () => void process.off(name, arrived) };
}

function spawnChild(program: string, options: SpawnOptions): Child {
  const child = spawn(program, options.args, {
    stdio: [options.stdin, options.stdout, "inherit"],
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const { stdin, stdout } = child;
  const ended = awaitChild(child, program);
  ended.catch(() => {});
  return {
    pid: child.pid ?? -1,
    stdin: stdin === null ? null : new PipeStream({ writable: () => stdin }),
    stdout: stdout === null ? null : new PipeStream({ readable: () => stdout }),
    wait: () => ended,
  };
}

function awaitChild(child: ChildProcess, program: string): Promise<SpawnResult> {
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const errno = error.code ?? "EIO";
      const code = errno === "ENOENT" ? "not_found" : "unknown";
      reject(new Failure(code, `exec ${program}: ${errno}`, { cause: error, facts: { path: program, errno } }));
    });
    child.once("exit", (code, signal) => resolve({ exitCode: exitCodeOf(code, signal) }));
  });
}

function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

function runInstead(
  program: string,
  options: { args: readonly string[]; env: Readonly<Record<string, string>> },
): never {
  const result = spawnSync(program, options.args, { stdio: "inherit", env: { ...options.env } });
  if (result.error !== undefined) {
    const errno = (result.error as NodeJS.ErrnoException).code ?? "EIO";
    throw new Failure("not_found", `exec ${program}: ${errno}`, {
      cause: result.error,
      facts: { path: program, errno },
    });
  }
  process.exit(exitCodeOf(result.status, result.signal));
}
