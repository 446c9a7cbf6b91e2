// Output through FIFOs: dockerd reads both, writes the log itself and hands each piece on to whoever is attached. Used
// for containers under a foreign shim and, without a log, for execs.
//
//     shim ──▶ FIFO ──▶ log, clients
//
// A killed shim is no end: dockerd has each FIFO open for writing, too, until the process has ended, and the next shim
// goes on. The end comes when the last shim has closed.

import { closeSync, constants, existsSync, openSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../../../base/errors.ts";
import { holdFifo, openFifoReader, openFifoWriter } from "../../../runtime/node/fifo.ts";
import type { ContainerStreams, OutputSink, StdinWriter } from "../containers/container.ts";
import type { LogWriter } from "./logwriter.ts";

/** Milliseconds for a shim to open a process's stdin, and between two attempts to find it open. */
const READER_TIMEOUT_MS = 2000;
const READER_INTERVAL_MS = 5;

export interface FifoPaths {
  stdin: string | null;
  stdout: string | null;
  stderr: string | null;
}

interface Subscriber {
  wanted: { stdout: boolean; stderr: boolean };
  sink: OutputSink;
}

export class FifoStreams implements ContainerStreams {
  readonly keepsForClients = false;
  readonly #paths: FifoPaths;
  readonly #log: LogWriter | null;
  readonly #closeStdin: () => Promise<void>;
  readonly #readers: Socket[] = [];
  readonly #held: number[] = [];
  readonly #subscribers = new Set<Subscriber>();
  #open = 0;
  #done: Promise<void>;
  #finish = () => {};
  #failure: string | null = null;
  #ended = false;

  /** Opens the readers at once. `closeStdin` asks the shim to give up its own writing end. */
  constructor(paths: FifoPaths, log: LogWriter | null, closeStdin: () => Promise<void>) {
    this.#paths = paths;
    this.#log = log;
    this.#closeStdin = closeStdin;
    this.#done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    if (paths.stdout !== null) this.#read(paths.stdout, 1);
    if (paths.stderr !== null) this.#read(paths.stderr, 2);
    if (this.#open === 0) this.#end();
  }

  async subscribe(wanted: { stdout: boolean; stderr: boolean }, sink: OutputSink): Promise<Disposable> {
    const subscriber = { wanted, sink };
    if (this.#ended) sink.ended(this.#failure);
    else this.#subscribers.add(subscriber);
    return { [Symbol.dispose]: () => void this.#subscribers.delete(subscriber) };
  }

  async openStdin(): Promise<StdinWriter | null> {
    const path = this.#paths.stdin;
    if (path === null) return null;
    for (const late = performance.now() + READER_TIMEOUT_MS; ; await sleep(READER_INTERVAL_MS)) {
      try {
        return new FifoStdin(openFifoWriter(path), this.#closeStdin);
      } catch (thrown) {
        // Nobody reads it yet, or not any more.
        const waits = (thrown as NodeJS.ErrnoException).code === "ENXIO" && !this.#ended && performance.now() < late;
        if (!waits) throw thrown;
      }
    }
  }

  async drained(limitMs: number): Promise<void> {
    this.#letGo();
    let timer: NodeJS.Timeout | null = null;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([this.#done, limit]);
    if (timer !== null) clearTimeout(timer);
  }

  close(): void {
    this.#letGo();
    for (const reader of this.#readers) reader.destroy();
    this.#end();
  }

  #letGo(): void {
    for (const fd of this.#held.splice(0)) closeSync(fd);
  }

  #read(path: string, type: 1 | 2): void {
    if (!existsSync(path)) return;
    const reader = openFifoReader(path);
    this.#readers.push(reader);
    this.#held.push(holdFifo(path));
    this.#open++;
    reader.on("data", (piece: Buffer) => {
      const full = this.#hand(type, piece);
      if (full.length === 0) return;
      // A client lags behind more than is kept for it: the container waits, as it would for a pipe.
      reader.pause();
      void Promise.all(full).then(() => reader.resume());
    });
    reader.on("error", () => {});
    reader.on("close", () => {
      if (--this.#open === 0) this.#end();
    });
    reader.on("end", () => reader.destroy());
  }

  /** What is to be waited for before the next piece. */
  #hand(type: 1 | 2, piece: Uint8Array): Promise<void>[] {
    try {
      this.#log?.write(type === 1 ? "stdout" : "stderr", piece);
    } catch (thrown) {
      // A full disk must neither block the container nor end the daemon; the attached still get their bytes.
      this.#failure = `log: ${codeOf(thrown)}: ${(thrown as Error).message}`;
    }
    const full: Promise<void>[] = [];
    for (const { wanted, sink } of this.#subscribers) {
      const waiting = (type === 1 ? wanted.stdout : wanted.stderr) ? sink.take(type, piece) : null;
      if (waiting !== null) full.push(waiting);
    }
    return full;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#log?.close();
    } catch {
      // What could not be written was reported when it was tried.
    }
    for (const { sink } of this.#subscribers) sink.ended(this.#failure);
    this.#subscribers.clear();
    this.#finish();
  }
}

class FifoStdin implements StdinWriter {
  readonly #socket: Socket;
  readonly #closeStdin: () => Promise<void>;
  #closed = false;

  constructor(socket: Socket, closeStdin: () => Promise<void>) {
    this.#socket = socket;
    this.#closeStdin = closeStdin;
    socket.on("error", () => {});
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await new Promise<void>((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.destroySoon();
    });
    await this.#closeStdin().catch(() => {});
  }
}

/** What lies in the FIFOs of a process that ended while nobody read: taken without waiting, and logged. */
export function takeLeftovers(paths: FifoPaths, log: LogWriter | null): void {
  for (const [name, path] of [["stdout", paths.stdout] as const, ["stderr", paths.stderr] as const]) {
    if (path === null || !existsSync(path)) continue;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const piece = new Uint8Array(64 * 1024);
      for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) {
        log?.write(name, piece.subarray(0, count));
      }
    } catch (thrown) {
      // EAGAIN: a writer is there and has nothing more.
      if ((thrown as NodeJS.ErrnoException).code !== "EAGAIN") throw thrown;
    } finally {
      closeSync(fd);
    }
  }
  log?.close();
}
