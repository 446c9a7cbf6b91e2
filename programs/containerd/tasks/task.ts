// One task as the daemon holds it: its bundle, its shim, and how it ends.
//
//     live ──delete()──▶ retired: shim shut down, bundle removed
//       └──connection ended──▶ dead: `shim delete`, exit and delete published, bundle removed
//
// `gone` resolves in both cases, with the exit when the daemon itself had to find it out.

import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import type { TaskExit } from "../../../core/tasks/tasks.ts";
import type { ShimConnection } from "../call/shim.ts";
import type { Launch } from "./launch.ts";

const LOG_LINE_LIMIT = 64 << 10; // bytes copied at once
const UNKNOWN_EXIT = 255;

export class Task {
  readonly launch: Launch;
  readonly shim: ShimConnection;
  readonly log: ShimLog | null;
  /** Set before the connection is ended on purpose. */
  retiring = false;
  /** Of the init process, once known: published exits are not published again. */
  exit: TaskExit | null = null;
  pid = 0;
  readonly gone: Promise<TaskExit>;
  private readonly setGone: (exit: TaskExit) => void;

  constructor(parts: { launch: Launch; shim: ShimConnection; log: ShimLog | null }) {
    this.launch = parts.launch;
    this.shim = parts.shim;
    this.log = parts.log;
    const { promise, resolve } = Promise.withResolvers<TaskExit>();
    this.gone = promise;
    this.setGone = resolve;
  }

  get namespace(): string {
    return this.launch.place.namespace;
  }

  get id(): string {
    return this.launch.place.id;
  }

  end(exit: TaskExit | null): void {
    this.retiring = true;
    this.shim.close();
    this.log?.close();
    this.setGone(exit ?? this.exit ?? { exitStatus: UNKNOWN_EXIT, exitedAt: BigInt(Date.now()) * 1_000_000n });
  }
}

/** Copies what a shim writes to its `log` FIFO to the daemon's own stderr. */
export class ShimLog {
  private readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Opened before the shim starts: its opening for writing waits for a reader. Null when there is no FIFO. */
  static open(bundle: string): ShimLog | null {
    let fd: number;
    try {
      fd = openSync(join(bundle, "log"), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch {
      return null;
    }
    try {
      const socket = new Socket({ fd, readable: true, writable: false });
      socket.on("data", (piece: Buffer) => void process.stderr.write(piece.subarray(0, LOG_LINE_LIMIT)));
      socket.on("error", () => {});
      socket.unref();
      return new ShimLog(socket);
    } catch {
      closeSync(fd);
      return null;
    }
  }

  close(): void {
    this.socket.destroy();
  }
}
