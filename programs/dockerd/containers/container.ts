// A container while dockerd runs: its record, who waits for it, who is attached, and the lock that keeps its changes of
// state one after the other. Made by create.ts or restored at start by restore.ts.

import type { ByteStream } from "../../../base/runtime.ts";
import type { Mount } from "../../../core/values.ts";
import type { Compressor } from "../output/compress.ts";
import type { ContainerRecord } from "./record.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface ExitReport {
  exitCode: number;
  error: string;
}

/** Somebody who sees the output of a container from its next start on, and may write to it. */
export interface Attachment {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly stdin: boolean;
  /** Called by the start of the container when its streams exist, before its process runs. */
  connect(streams: ContainerStreams): Promise<void>;
  /** The container will not start after all. */
  abandon(): void;
}

/** What an output mode (shim or FIFO) offers to attachments. Types: 1 stdout, 2 stderr. */
export interface ContainerStreams {
  /** What a slow client has not taken is kept by somebody else: its pieces need not be. */
  readonly keepsForClients: boolean;
  /** Pieces from now on; resolves once nothing that comes later can be missed. `ended` comes after the last one. */
  subscribe(wanted: { stdout: boolean; stderr: boolean }, sink: OutputSink): Promise<Disposable>;
  /** Null when the container has no standard input. */
  openStdin(): Promise<StdinWriter | null>;
  /** Resolves when all output has been handed on and the log is written. */
  drained(limitMs: number): Promise<void>;
  /** Where the shim writes the log: `<log>.compressed` was made of the rotated file with this inode and takes its
   *  place. False: that file is gone. */
  replaceRotated?(inode: number): Promise<boolean>;
  close(): void;
}

export interface OutputSink {
  /** Copies the piece. A promise: what is at hand may still come, and no more before it is fulfilled. */
  take(type: 1 | 2, bytes: Uint8Array): Promise<void> | null;
  ended(error: string | null): void;
}

export interface StdinWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** The container reads the end. */
  close(): Promise<void>;
}

export class Container {
  record: ContainerRecord;
  streams: ContainerStreams | null = null;
  /** Of its rotated logs, once it ran with an option that asks for it. */
  compressor: Compressor | null = null;
  /** The mounts of its snapshot as create got them; null once dockerd was started anew. */
  freshMounts: readonly Mount[] | null = null;
  /** Waiting for the next start. */
  readonly pending = new Set<Attachment>();
  /** Ids of execs that were made for this container. */
  readonly execs = new Set<string>();
  /** A restart that is due; dispose cancels. */
  restartTimer: Disposable | null = null;
  /** Milliseconds; doubles with each restart of a short run. */
  restartDelay = 0;
  /** Set while a stop is under way, so that the exit is not taken for a crash. */
  stopping = false;
  removing = false;
  /** The document containerd has now, as JSON; null when it has none. */
  storedSpec: string | null = null;
  health: HealthState | null = null;
  /** Ends the probe loop. */
  healthTimer: Disposable | null = null;
  #tail: Promise<unknown> = Promise.resolve();
  readonly #waiters = new Set<{ condition: WaitCondition; resolve: (report: ExitReport) => void }>();

  constructor(record: ContainerRecord) {
    this.record = record;
  }

  get id(): string {
    return this.record.id;
  }

  get running(): boolean {
    const { status } = this.record.state;
    return status === "running" || status === "paused";
  }

  /** Runs changes of state one after the other. */
  exclusive<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(body, body);
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Resolves when the condition comes true; dispose gives up. */
  wait(condition: WaitCondition): { report: Promise<ExitReport>; cancel: () => void } {
    let cancel = () => {};
    const report = new Promise<ExitReport>((resolve) => {
      const waiter = { condition, resolve };
      this.#waiters.add(waiter);
      cancel = () => void this.#waiters.delete(waiter);
    });
    return { report, cancel };
  }

  wake(conditions: readonly WaitCondition[]): void {
    const { exitCode, error } = this.record.state;
    for (const waiter of [...this.#waiters]) {
      if (!conditions.includes(waiter.condition)) continue;
      this.#waiters.delete(waiter);
      // Whoever waits for the removal asks for its success, not for that of the run.
      waiter.resolve({ exitCode, error: waiter.condition === "removed" ? "" : error });
    }
  }
}

export interface HealthResult {
  Start: string;
  End: string;
  ExitCode: number;
  Output: string;
}

export interface HealthState {
  Status: "starting" | "healthy" | "unhealthy";
  FailingStreak: number;
  Log: HealthResult[];
}

/** Copies one stream's pieces to a writer until its end; used where a client feeds a container. */
export async function pump(from: ByteStream, to: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const buffer = new Uint8Array(32 * 1024);
  for (;;) {
    const count = await from.read(buffer);
    if (count === 0) return;
    await to(buffer.slice(0, count));
  }
}
