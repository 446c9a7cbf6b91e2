// Sockets of the Node runtime: connecting, and listeners for unix paths and TCP. Both sides keep half-open connections:
// the end of the peer's writing is no end of ours.

import { chmodSync, chownSync, lstatSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";
import { Failure } from "../../base/errors.ts";
import type { Connection, Listener } from "../../base/runtime.ts";
import { SocketStream } from "./stream.ts";

export function connectUnix(path: string): Promise<Connection> {
  return connect({ path, allowHalfOpen: true }, path);
}

export function connectTcp(host: string, port: number): Promise<Connection> {
  return connect({ host, port, allowHalfOpen: true, noDelay: true }, `${host}:${port}`);
}

function connect(options: NetConnectOpts, name: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(options);
    const failed = (error: NodeJS.ErrnoException) => {
      const errno = error.code ?? "EIO";
      const facts = { path: name, errno };
      reject(new Failure("unavailable", `connect ${name}: ${errno}`, { cause: error, facts }));
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(new SocketStream(socket));
    });
  });
}

export interface UnixListenOptions {
  /** Permission bits of the socket, in force from its first moment. */
  mode: number;
  /** Group of the socket; null leaves the process's own. */
  gid?: number | null;
}

/** Takes the place of a dead socket file; throws "already_exists" when somebody still listens there. */
export async function listenUnix(path: string, options: UnixListenOptions): Promise<Listener> {
  await removeDeadSocket(path);
  const before = process.umask(0o777 & ~0o600);
  const listener = new NodeListener();
  try {
    await listener.listen({ path });
  } finally {
    process.umask(before);
  }
  if (options.gid !== undefined && options.gid !== null) chownSync(path, -1, options.gid);
  chmodSync(path, options.mode);
  return listener;
}

/** The same for a Node server that brings its own protocol (wire/grpc's attach). The socket's file stays until it is
 *  closed. */
export async function openUnixServer(server: Server, path: string, options: UnixListenOptions): Promise<void> {
  await removeDeadSocket(path);
  const before = process.umask(0o777 & ~0o600);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        const facts = { path, errno: error.code ?? "EIO" };
        reject(new Failure("unavailable", `listen ${path}: ${facts.errno}`, { cause: error, facts }));
      });
      server.listen({ path }, resolve);
    });
  } finally {
    process.umask(before);
  }
  if (options.gid !== undefined && options.gid !== null) chownSync(path, -1, options.gid);
  chmodSync(path, options.mode);
}

/** `port` 0 takes a free one. */
export async function listenTcp(host: string, port: number): Promise<Listener & { readonly port: number }> {
  const listener = new NodeListener();
  await listener.listen({ host, port });
  return listener;
}

async function removeDeadSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Failure("already_exists", `${path} exists and is no socket`, { facts: { path } });
  const living = await connectUnix(path).catch(() => null);
  if (living !== null) {
    living.close();
    throw new Failure("already_exists", `${path} is in use by another process`, { facts: { path } });
  }
  unlinkSync(path);
}

class NodeListener implements Listener {
  readonly #server: Server;
  readonly #queue: Socket[] = [];
  #waiting: ((connection: Connection | null) => void) | null = null;
  #closed = false;
  port = 0;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false }, (socket) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting !== null) waiting(new SocketStream(socket));
      else this.#queue.push(socket);
    });
  }

  listen(where: { path: string } | { host: string; port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => {
        const name = "path" in where ? where.path : `${where.host}:${where.port}`;
        const facts = { path: name, errno: error.code ?? "EIO" };
        reject(new Failure("unavailable", `listen ${name}: ${facts.errno}`, { cause: error, facts }));
      });
      this.#server.listen(where, () => {
        const address = this.#server.address();
        if (address !== null && typeof address === "object") this.port = address.port;
        resolve();
      });
    });
  }

  accept(): Promise<Connection | null> {
    if (this.#closed) return Promise.resolve(null);
    const socket = this.#queue.shift();
    if (socket !== undefined) return Promise.resolve(new SocketStream(socket));
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.close();
    for (const socket of this.#queue.splice(0)) socket.destroy();
    this.#waiting?.(null);
    this.#waiting = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
