// This process's stdin, stdout and stderr joined to a task's, for as long as the process lives.
//
//     make ──▶ attach: output flows ──▶ stdin's end, once the process runs ──▶ onInputEnd: the shim closes its end, too
//                └──▶ process ended ──▶ drained: what was written has arrived ──▶ close: FIFOs gone

import { closeSync, existsSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import type { TaskIo } from "../../../core/tasks/tasks.ts";
import { holdFifo, openFifoEarly, openFifoReader } from "../../../runtime/node/fifo.ts";
import { type Fifos, makeFifos } from "./fifos.ts";

/** After the process ended: silence this long on an open FIFO means that its shim is gone. Milliseconds. */
const SILENCE_LIMIT = 2000;

export interface IoRequest {
  readonly id: string;
  readonly terminal: boolean;
  readonly nullIo: boolean;
  readonly logUri: string;
  readonly fifoDirectory: string;
}

export class ProcessIo {
  readonly io: TaskIo;
  readonly #fifos: Fifos | null;
  readonly #readers: Socket[] = [];
  /** While the process runs the output FIFOs are open for writing here, too: a killed shim is no end of the output. */
  readonly #held: number[] = [];
  #input: Socket | null = null;
  #open = 0;
  #ended: () => void = () => {};
  #lastData = 0;
  #inputDone: () => void = () => {};
  readonly #inputEnded = new Promise<void>((resolve) => {
    this.#inputDone = resolve;
  });
  readonly #drained = new Promise<void>((resolve) => {
    this.#ended = resolve;
  });

  private constructor(io: TaskIo, fifos: Fifos | null) {
    this.io = io;
    this.#fifos = fifos;
  }

  static make(request: IoRequest): ProcessIo {
    const { id, terminal, nullIo, logUri, fifoDirectory } = request;
    if (nullIo) return new ProcessIo({ stdin: "", stdout: "", stderr: "", terminal }, null);
    if (logUri !== "") return new ProcessIo({ stdin: "", stdout: logUri, stderr: logUri, terminal }, null);
    const fifos = makeFifos(fifoDirectory, id, terminal);
    const { stdin, stdout, stderr } = fifos;
    return new ProcessIo({ stdin, stdout, stderr, terminal }, fifos);
  }

  /** Of a process that runs already. */
  static existing(io: TaskIo): ProcessIo {
    return new ProcessIo(io, null);
  }

  /** Opens the FIFOs and joins them. */
  attach(): void {
    const { stdin, stdout, stderr } = this.io;
    if (isFifo(stdout)) this.#read(stdout, process.stdout);
    if (isFifo(stderr)) this.#read(stderr, process.stderr);
    if (this.#open === 0) this.#ended();
    if (isFifo(stdin)) this.#write(stdin);
  }

  /** For a detached task: a shim that opens a FIFO waits until its other end is open, too. The caller closes it. */
  hold(): Disposable {
    const { stdin, stdout, stderr } = this.io;
    const held = [stdin, stdout, stderr].filter(isFifo).map(holdFifo);
    return {
      [Symbol.dispose]() {
        for (const fd of held) closeSync(fd);
      },
    };
  }

  /** Once the process runs: what to do when no more input comes, or at once when it has ended already. Before, the shim
   *  knows no process whose stdin it could close, and a FIFO that nobody has open loses what is in it. */
  onInputEnd(closeStdin: () => Promise<void>): void {
    const end = async () => {
      this.#input?.destroy();
      await closeStdin();
    };
    void this.#inputEnded.then(end).catch(() => {});
  }

  /** After the process ended: resolves when its output has arrived. */
  async drained(): Promise<void> {
    this.#letGo();
    this.#lastData = Date.now();
    let watch: NodeJS.Timeout | null = null;
    const silent = new Promise<void>((resolve) => {
      watch = setInterval(() => {
        if (Date.now() - this.#lastData > SILENCE_LIMIT) resolve();
      }, SILENCE_LIMIT / 10);
    });
    await Promise.race([this.#drained, silent]);
    if (watch !== null) clearInterval(watch);
  }

  /** Lets go of this side's ends; `keep` leaves the FIFOs where they are, for a detached task. */
  close(keep: boolean): void {
    this.#letGo();
    for (const reader of this.#readers) reader.destroy();
    if (this.#input !== null) {
      process.stdin.unpipe(this.#input);
      this.#input.destroy();
      releaseStdin();
    }
    if (!keep && this.#fifos !== null) rmSync(this.#fifos.folder, { recursive: true, force: true });
  }

  #letGo(): void {
    for (const fd of this.#held.splice(0)) closeSync(fd);
  }

  #read(path: string, into: NodeJS.WriteStream): void {
    const reader = openFifoReader(path);
    this.#readers.push(reader);
    this.#held.push(holdFifo(path));
    this.#open++;
    reader.on("data", () => {
      this.#lastData = Date.now();
    });
    reader.on("error", () => {});
    reader.on("close", () => {
      if (--this.#open === 0) this.#ended();
    });
    // Whoever reads this program's output may go: the container's output is then taken and dropped.
    into.on("error", () => reader.unpipe(into).resume());
    reader.pipe(into, { end: false });
  }

  #write(path: string): void {
    const input = openFifoEarly(path);
    this.#input = input;
    input.on("error", () => {});
    process.stdin.on("error", () => {});
    process.stdin.pipe(input, { end: false });
    process.stdin.once("end", () => {
      input.write("", () => this.#inputDone());
    });
  }
}

/** Else a pipe or terminal nobody writes to would keep this process. */
function releaseStdin(): void {
  process.stdin.pause();
  if (process.stdin.isTTY) process.stdin.unref();
  else process.stdin.destroy();
}

function isFifo(path: string): boolean {
  return path.startsWith("/") && existsSync(path);
}
