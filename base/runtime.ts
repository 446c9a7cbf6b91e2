// The runtime contract: what portable code (the docker command, the wire codecs) may ask of the engine it runs on.
// runtime/node and runtime/quickjs are its bodies; runtime/fake is a scripted one with a virtual clock for tests.
//
// Life of a ByteStream:
//
//     open ──read() == 0──▶ peer closed its half ──┐
//       │                                          ├──close()──▶ closed: a pending read gives 0, a write throws
//       └──closeWrite()──▶ our half closed ────────┘
//
// Everything asynchronous is a promise; nothing here blocks. Sizes are bytes, times milliseconds.

import type { Bytes } from "./bytes.ts";

export interface ByteStream extends Disposable {
  /** Reads what is there, at most `into.length` bytes, waiting for at least one. 0 means end: the peer closed its half,
   *  or this side was closed. One read at a time. */
  read(into: Uint8Array): Promise<number>;
  /** Resolves when all bytes are handed to the kernel; the caller may then reuse the buffer. Writes keep their order.
   *  */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: the peer reads 0; reading goes on. */
  closeWrite(): void;
  /** Closes both halves at once. Idempotent. */
  close(): void;
}

export interface Listener extends Disposable {
  /** The next connection, or null when the listener was closed. */
  accept(): Promise<Connection | null>;
  close(): void;
}

export interface Connection extends ByteStream {
  /** Credentials of the peer of a unix socket (SO_PEERCRED); null elsewhere, and on Node, which cannot ask. */
  readonly peer: { pid: number; uid: number; gid: number } | null;
}

export interface Clock {
  /** Wall time, milliseconds since 1970. */
  now(): number;
  /** Wall time in nanoseconds since 1970. */
  nowNanoseconds(): bigint;
  /** Milliseconds that only grow. */
  monotonic(): number;
  sleep(milliseconds: number): Promise<void>;
  /** Calls back once; dispose cancels. */
  timer(milliseconds: number, expired: () => void): Disposable;
}

export interface Terminal {
  isTerminal(fd: 0 | 1 | 2): boolean;
  /** Null when the fd is no terminal. */
  size(fd: 0 | 1 | 2): { columns: number; rows: number } | null;
  /** Raw mode until disposed; null when the fd is no terminal. */
  raw(fd: 0 | 1 | 2): Disposable | null;
}

/** A finished child: its exit code, or 128 + the signal that ended it. */
export interface SpawnResult {
  exitCode: number;
}

export interface Child {
  readonly pid: number;
  readonly stdin: ByteStream | null;
  readonly stdout: ByteStream | null;
  wait(): Promise<SpawnResult>;
}

export interface SpawnOptions {
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  stdin: "inherit" | "pipe" | "ignore";
  stdout: "inherit" | "pipe" | "ignore";
}

/** Small synchronous file access, for configuration and for the files a command line names. */
export interface Files {
  /** Null when there is no such file; other failures throw. Limit in bytes. */
  read(path: string, limit: number): Bytes | null;
  /** Replaces the file atomically (write, fsync, rename). */
  replace(path: string, content: Uint8Array, mode: number): void;
  /** Null when there is no such path. */
  stat(path: string): { kind: "file" | "directory" | "socket" | "fifo" | "other"; size: number; mode: number } | null;
  list(path: string): string[];
  makeDirectories(path: string, mode: number): void;
  remove(path: string): void;
  /** A stream over a file; for write it is created (with mode) and truncated. */
  open(path: string, how: { write: boolean; mode?: number }): ByteStream;
  readonly workingDirectory: string;
}

export interface Runtime {
  readonly engine: "node" | "quickjs" | "fake";
  /** Arguments after the program's own name. */
  readonly args: readonly string[];
  /** The name the program was called by, without directories. */
  readonly programName: string;
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly files: Files;
  readonly terminal: Terminal;
  readonly stdin: ByteStream;
  readonly stdout: ByteStream;
  readonly stderr: ByteStream;
  /** Throws Failure "unavailable" with the path and errno name when nobody listens. */
  connectUnix(path: string): Promise<Connection>;
  /** Numeric addresses only on QuickJS (it has no resolver): a name throws Failure "unimplemented". */
  connectTcp(host: string, port: number): Promise<Connection>;
  /** Calls back for each arrival of the signal (name as "SIGINT"), whose default action is then off, until disposed. */
  onSignal(name: string, arrived: () => void): Disposable;
  spawn(path: string, options: SpawnOptions): Child;
  /** Replaces this process by another program, on Node by running it and ending with its exit code. */
  replace(path: string, options: { args: readonly string[]; env: Readonly<Record<string, string>> }): never;
  randomBytes(length: number): Bytes;
  /** Ends the process at once. */
  exit(code: number): never;
}
