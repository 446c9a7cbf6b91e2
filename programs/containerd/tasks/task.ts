// One task as the daemon holds it: its bundle, its shim, and how it ends.
//
//     live ──delete()──▶ retired: shim shut down, bundle removed
//      │▲ └──connection ended──▶ dead: `shim delete`, exit and delete published, bundle removed
//      └┴───connection ended──▶ taken over by another shim, where the shim can do that
//
// `gone` resolves in the first two cases, with the exit when the daemon itself had to find it out.

import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import type { TaskExit } from "../../../core/tasks/tasks.ts";
import type { ShimConnection } from "../call/shim.ts";
import { Holds } from "./holds.ts";
import type { Launch } from "./launch.ts";

const LOG_LINE_LIMIT = 64 << 10; // bytes copied at once
const UNKNOWN_EXIT = 255;
/** Shims that may be tried for one task within so many milliseconds. */
const ADOPTION_LIMIT = 10;
const ADOPTION_WINDOW = 60_000;
/** Milliseconds that the end of a connection may take to be seen after a call over it failed. */
const CLOSE_TIMEOUT = 1000;

export class Task {
  readonly launch: Launch;
  shim: ShimConnection;
  private log: ShimLog | null;
  private holds: Holds | null = null;
  /** While another shim is asked to take over; resolves when that is decided. */
  settling: Promise<unknown> | null = null;
  readonly attempts = new Attempts();
  /** The shim died while the task was being made. */
  lostEarly = false;
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

  /** Of its first process, if the daemon holds it. */
  get pidfd(): number | null {
    return this.holds?.pidfd ?? null;
  }

  /** Keeps open what must not end with the shim. */
  async hold(): Promise<void> {
    const holds = await Holds.take(this.launch.bundle);
    this.holds?.close();
    this.holds = this.retiring ? null : holds;
    if (this.retiring) holds.close();
  }

  takenOver(by: { shim: ShimConnection; log: ShimLog | null }): void {
    this.log?.close();
    this.shim = by.shim;
    this.log = by.log;
  }

  /** After a call over that connection found it ended: whether another shim is there now. */
  async replaced(shim: ShimConnection): Promise<boolean> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_TIMEOUT).unref());
    await Promise.race([shim.closed, late]);
    // What watches the connection is told in the same turn.
    await new Promise<void>((resolve) => setImmediate(resolve));
    await this.settling;
    return this.shim !== shim && !this.retiring;
  }

  end(exit: TaskExit | null): void {
    this.retiring = true;
    this.holds?.close();
    this.holds = null;
    this.shim.close();
    this.log?.close();
    this.setGone(exit ?? this.exit ?? { exitStatus: UNKNOWN_EXIT, exitedAt: BigInt(Date.now()) * 1_000_000n });
  }
}

/** Bounds how often another shim is tried: one that ends at once is not started for ever. */
export class Attempts {
  /** In milliseconds of the monotonic clock. */
  private made: number[] = [];

  /** Counts one more; false when there were too many. */
  next(): boolean {
    const now = performance.now();
    this.made = this.made.filter((at) => now - at < ADOPTION_WINDOW);
    return this.made.push(now) <= ADOPTION_LIMIT;
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
