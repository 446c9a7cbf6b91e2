// The QuickJS body of the runtime contract (base/runtime.ts), and how a program begins.
//
//     host: main(door) ──▶ start(door, program) ──▶ program(runtime, loop) ──▶ its exit code

import { installUtf8 } from "../../base/bytes.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import type { Child, Clock, Connection, Files, Runtime, SpawnOptions, Terminal } from "../../base/runtime.ts";
import { monotonicMilliseconds, wallNanoseconds } from "../../linux/clock.ts";
import { type Door, door, installDoor } from "../../linux/door.ts";
import { EPOLLOUT } from "../../linux/epoll.ts";
import { errnoName, SyscallFailure } from "../../linux/errno.ts";
import { Fd, setNonBlocking, writeAll } from "../../linux/fd.ts";
import { execve, exit, randomBytes } from "../../linux/process.ts";
import { parseSignal } from "../../linux/signal.ts";
import * as net from "../../linux/socket.ts";
import { isTerminal, rawMode, windowSize } from "../../linux/tty.ts";
import { files } from "./files.ts";
import { Loop } from "./loop.ts";
import { spawn } from "./spawn.ts";
import { FdStream, SocketConnection } from "./stream.ts";

const CONNECT_TIMEOUT = 10_000;

/** What every QuickJS program's `main` calls first: after this linux/ works. */
export function openDoor(given: Door): void {
  installDoor(given);
  installUtf8({ encode: (text) => given.encode(text), decode: (bytes) => given.decode(bytes) });
}

/** For a program with a loop: runs it to its exit code. An uncaught failure is said on stderr and gives 1. */
export function start(given: Door, program: (runtime: QuickJsRuntime) => Promise<number>): void {
  openDoor(given);
  const runtime = new QuickJsRuntime();
  given.idle = () => runtime.loop.turn();
  program(runtime).then(
    (code) => runtime.loop.end(code),
    (thrown) => {
      writeAll(2, given.encode(`${runtime.programName}: ${messageOf(thrown)}\n`));
      runtime.loop.end(1);
    },
  );
}

export class QuickJsRuntime implements Runtime {
  readonly engine = "quickjs";
  readonly loop = new Loop();
  readonly args: readonly string[];
  readonly programName: string;
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly files: Files;
  readonly terminal: Terminal = { isTerminal, size: windowSize, raw: rawMode };
  #streams: (FdStream | null)[] = [null, null, null];

  constructor() {
    this.args = door().args.slice(1);
    this.programName = (door().args[0] ?? "").replace(/^.*\//, "");
    this.env = parseEnvironment(door().env);
    this.files = files(this.loop);
    this.clock = {
      now: () => Number(wallNanoseconds() / 1_000_000n),
      nowNanoseconds: wallNanoseconds,
      monotonic: monotonicMilliseconds,
      sleep: (milliseconds) => new Promise((resolve) => void this.loop.timer(milliseconds, resolve)),
      timer: (milliseconds, expired) => this.loop.timer(milliseconds, expired),
    };
  }

  get stdin(): FdStream {
    return this.#standard(0);
  }

  get stdout(): FdStream {
    return this.#standard(1);
  }

  get stderr(): FdStream {
    return this.#standard(2);
  }

  // Standard descriptors are left blocking: O_NONBLOCK belongs to the open file, which other processes share. A read
  // waits for readiness first, so it does not block; a write of a full pipe may, and then only this command waits.
  #standard(fd: 0 | 1 | 2): FdStream {
    this.#streams[fd] ??= new StandardStream(this.loop, fd);
    return this.#streams[fd];
  }

  async connectUnix(path: string): Promise<Connection> {
    try {
      const fd = net.connectUnix(path);
      setNonBlocking(fd.number, true);
      return new SocketConnection(this.loop, fd, true);
    } catch (thrown) {
      throw unreachableHost(path, thrown);
    }
  }

  async connectTcp(host: string, port: number): Promise<Connection> {
    const address = net.ipv4Bytes(host === "localhost" ? "127.0.0.1" : host);
    if (address === null) throw new Failure("unimplemented", `${host} is not an IPv4 address`);
    const fd = net.socket(net.AF_INET, net.SOCK_STREAM | net.SOCK_NONBLOCK);
    try {
      if (net.connect(fd.number, net.inet4Address(address, port), `${host}:${port}`) === "in progress") {
        await this.#connected(fd, `${host}:${port}`);
      }
      return new SocketConnection(this.loop, fd, false);
    } catch (thrown) {
      fd.close();
      throw unreachableHost(`${host}:${port}`, thrown);
    }
  }

  #connected(fd: Fd, subject: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (errno: number) => {
        timeout[Symbol.dispose]();
        this.loop.unwatch(fd.number);
        if (errno === 0) resolve();
        else reject(new SyscallFailure("connect", errno, subject));
      };
      const timeout = this.loop.timer(CONNECT_TIMEOUT, () => finish(110));
      this.loop.watch(fd.number, EPOLLOUT, () => finish(net.socketError(fd.number)));
    });
  }

  onSignal(name: string, arrived: () => void): Disposable {
    const number = parseSignal(name);
    if (number === null) throw new Failure("invalid_argument", `${name} is not a signal`);
    return this.loop.onSignal(number, arrived);
  }

  spawn(path: string, options: SpawnOptions): Child {
    return spawn(this.loop, path, { ...options, env: options.env ?? this.env });
  }

  replace(path: string, options: { args: readonly string[]; env: Readonly<Record<string, string>> }): never {
    const env = Object.entries(options.env).map(([key, value]) => `${key}=${value}`);
    throw new SyscallFailure("exec", execve(path, [path, ...options.args], env), path);
  }

  randomBytes(length: number): Uint8Array<ArrayBuffer> {
    return randomBytes(length);
  }

  exit(code: number): never {
    return exit(code);
  }
}

/** A standard descriptor: reads only after the loop saw it ready. */
class StandardStream extends FdStream {
  constructor(loop: Loop, fd: number) {
    super(loop, new Fd(fd), "file", true);
  }
}

function unreachableHost(subject: string, thrown: unknown): unknown {
  if (!(thrown instanceof SyscallFailure)) return thrown;
  return new Failure("unavailable", `${subject}: ${thrown.message}`, {
    cause: thrown,
    facts: { address: subject, errno: errnoName(thrown.errno) },
  });
}

function parseEnvironment(entries: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at > 0) env[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return env;
}
