// The streams of one process: what its runtime call is given as 0, 1 and 2, and where the bytes go from there.
//
//     openIo ──▶ [runtime call: the process inherits `streams`] ──▶ started ──▶ … drain … ──▶ close
//                                       └─ failed ──▶ close
//
// Kinds, from the URIs of the request: FIFO (splice.ts), appended file (also file://: file-output.ts), binary:// (a
// logging program reads the pipes itself), json-file:// and local:// (the shim writes the log, for the first process of
// a task), nothing. With a terminal the process's three streams are one pseudo-terminal, whose master comes from the
// runtime.

import { Failure } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_fchown } from "../../../linux/numbers.ts";
import type { QuickJsRuntime } from "../../../runtime/quickjs/runtime.ts";
import type { RuncStreams } from "../call/runc.ts";
import { DRAIN_TIMEOUT } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Reaper } from "../reaper.ts";
import { parseUri } from "../uri.ts";
import { startLogger } from "./binary.ts";
import { openOutput, openStdin, reopenOutput } from "./fifo.ts";
import { appendToFile } from "./file-output.ts";
import { isLogUri, type LogOutput, openLogOutput } from "./log-output.ts";
import { makeOutputFifo, type OutputName, openOutputFifo, removeOutputFifos } from "./output-fifo.ts";
import { type Flow, Pump, type Sink } from "./pump.ts";
import { FdSink } from "./sinks.ts";
import { Splice } from "./splice.ts";
import { StdinWriter } from "./stdin.ts";
import { Console } from "./terminal.ts";

export interface IoRequest {
  containerId: string;
  namespace: string;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  /** Owner of the pipes, so that a process of a user namespace may open /dev/stdout again. */
  uid: number;
  gid: number;
  /** Whether the shim may write the log itself. */
  ownsLog: boolean;
  /** What the names of its pipes and its journal begin with, in the bundle. */
  place: string;
}

export interface IoParts {
  runtime: QuickJsRuntime;
  reaper: Reaper;
  log: Log;
  /** Directory for the sockets of terminals, 0700. */
  socketDirectory: string;
  /** Whatever the end of the shim should wait for, for a bounded time. */
  lingering: Set<unknown>;
}

const BINARY = /^binary(-v2)?:\/\//;
const ATTACH = "attach://";

export class ProcessIo {
  readonly streams: RuncStreams = { stdin: null, stdout: null, stderr: null };
  readonly #parts: IoParts;
  readonly #request: IoRequest;
  /** The process's ends of the pipes, closed when it has them. */
  readonly #given: fd.Fd[] = [];
  readonly #flows: Flow[] = [];
  /** Those of them that the log is fed by. */
  readonly #logged: Pump[] = [];
  #waiting: (() => void)[] = [];
  #console: Console | null = null;
  #stdin: StdinWriter | null = null;
  /** The shim's hold of the client's stdin FIFO, until CloseIO. */
  #stdinHold: fd.Fd | null = null;
  #stdinPump: Pump | null = null;
  #output: LogOutput | null = null;
  #closeLogger: (() => void) | null = null;
  #closed = false;
  /** Until what a killed shim left is dealt with. */
  #resuming: Promise<void> = Promise.resolve();

  private constructor(parts: IoParts, request: IoRequest) {
    this.#parts = parts;
    this.#request = request;
  }

  /** Waits for clients to open their ends of FIFOs. */
  static async open(parts: IoParts, request: IoRequest): Promise<ProcessIo> {
    const io = new ProcessIo(parts, request);
    try {
      if (request.terminal) io.#console = new Console(parts.runtime.loop, parts.socketDirectory);
      else await io.#openPipes();
      return io;
    } catch (thrown) {
      io.close();
      throw thrown;
    }
  }

  /** The streams of a process whose shim was killed. Its stdin was at its end with that shim. */
  static reopen(parts: IoParts, request: IoRequest): ProcessIo {
    const io = new ProcessIo(parts, request);
    try {
      io.#reopenPipes();
      return io;
    } catch (thrown) {
      io.close();
      throw thrown;
    }
  }

  /** For the runtime's --console-socket; null without a terminal. */
  get consoleSocket(): string | null {
    return this.#console?.socketPath ?? null;
  }

  /** The runtime has made the process. */
  async started(): Promise<void> {
    for (const end of this.#given.splice(0)) end.close();
    if (this.#console !== null) await this.#openTerminal(this.#console);
    // Not before: what a failing runtime says on its stderr comes as the call's error, not as the container's output.
    for (const flow of this.#flows) flow.begin();
    this.#stdinPump?.begin();
  }

  resize(columns: number, rows: number): void {
    this.#console?.resize({ columns, rows });
  }

  /** CloseIO: the shim no longer holds stdin open; what is on its way still arrives. */
  closeStdin(): void {
    this.#stdinHold?.close();
    this.#stdinHold = null;
    if (this.#request.stdin.startsWith(ATTACH)) this.#stdin?.close();
  }

  /** After the process's end: what it wrote reaches its log. Bounded: another process may still hold the pipe. */
  async drain(): Promise<void> {
    if (this.#output === null) return;
    await this.#resuming;
    await this.#bounded(Promise.all(this.#logged.map((pump) => pump.drain())));
  }

  /** Before it is forgotten: its streams came to their end, or the time for it is over. */
  async finished(): Promise<void> {
    await this.#bounded(Promise.all(this.#flows.map((flow) => flow.ended())));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#given.splice(0)) end.close();
    this.#stdinHold?.close();
    this.#stdinPump?.close();
    this.#stdin?.destroy();
    for (const flow of this.#flows) flow.close();
    this.#console?.close();
    this.#output?.close();
    this.#closeLogger?.();
    removeOutputFifos(this.#request.place);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #bounded(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timeout = this.#parts.runtime.loop.timer(DRAIN_TIMEOUT, resolve);
      void work.then(() => {
        timeout[Symbol.dispose]();
        resolve();
      });
    });
  }

  async #openPipes(): Promise<void> {
    const { stdin, stdout, stderr } = this.#request;
    if (isLogUri(stdout)) this.#openLog(stdout, stderr);
    else if (BINARY.test(stdout)) await this.#openLogger(stdout);
    else {
      if (stdout !== "") await this.#openOutput(stdout, "stdout");
      if (stderr !== "") await this.#openOutput(stderr, "stderr");
    }
    if (stdin !== "" && !stdin.startsWith(ATTACH)) this.#feedStdin(stdin, this.#stdinPipe());
  }

  /** The shim's own log, with the attach socket beside it. */
  #openLog(stdout: string, stderr: string): void {
    this.#output = this.#logOutput(stdout, stderr);
    if (this.#request.stdin !== "") this.#output.listen(this.#stdinPipe());
    else this.#output.listen(null);
    for (const stream of ["stdout", "stderr"] as const) this.#log(this.#outputPipe(stream), stream);
  }

  #log(source: fd.Fd, stream: OutputName): void {
    const { sink, reader } = { sink: this.#output!.sink(stream), reader: this.#output!.reader(stream) };
    const pump = new Pump(this.#parts.runtime.loop, { source, sink }, reader);
    this.#flows.push(pump);
    this.#logged.push(pump);
  }

  #reopenPipes(): void {
    const { stdout, stderr, place } = this.#request;
    const log = isLogUri(stdout);
    if (log) {
      this.#output = this.#logOutput(stdout, stderr);
      this.#output.listen(null);
    }
    for (const stream of ["stdout", "stderr"] as const) {
      const source = openOutputFifo(place, stream);
      if (source === null) continue;
      if (log) this.#log(source, stream);
      else this.#forward(source, reopenOutput(this.#request[stream]), stream, true);
    }
    this.#resuming = (this.#output?.clientsBack() ?? Promise.resolve()).then(() => {
      for (const pump of this.#logged) pump.takePending();
      for (const flow of this.#flows) flow.begin();
    });
  }

  #logOutput(stdout: string, stderr: string): LogOutput {
    const { ownsLog, stdin, terminal } = this.#request;
    if (!ownsLog) throw new Failure("invalid_argument", "a log of the shim is for the first process of a task");
    if (stderr !== stdout && !(terminal && stderr === "")) {
      throw new Failure("invalid_argument", "stdout and stderr of a task whose log the shim writes name the same log");
    }
    if (stdin !== "" && !stdin.startsWith(ATTACH)) {
      throw new Failure("invalid_argument", "the stdin of a task whose log the shim writes is attach:// or nothing");
    }
    const { runtime, lingering } = this.#parts;
    const journal = `${this.#request.place}output.journal`;
    return openLogOutput(runtime.loop, stdout, { terminal, journal, warn: this.#warn, lingering });
  }

  async #openLogger(uri: string): Promise<void> {
    const logger = await startLogger(this.#parts, uri, this.#request);
    this.#given.push(logger.stdout, logger.stderr);
    this.streams.stdout = logger.stdout.number;
    this.streams.stderr = logger.stderr.number;
    this.#closeLogger = logger.close;
  }

  async #openOutput(uri: string, stream: OutputName): Promise<void> {
    const target = await openOutput(this.#parts.runtime, uri);
    this.#forward(this.#outputPipe(stream), target, stream, false);
  }

  /** From the process's pipe to the client's FIFO or file. `again`: after a killed shim. */
  #forward(source: fd.Fd, target: fd.Fd, stream: OutputName, again: boolean): void {
    const { loop } = this.#parts.runtime;
    const kind = fd.statFd(target.number).mode & fd.S_IFMT;
    if (kind === fd.S_IFIFO) this.#flows.push(new Splice(loop, source, target));
    else if (kind === fd.S_IFREG) this.#flows.push(this.#appending(source, target, stream, again));
    else this.#flows.push(new Pump(loop, { source, sink: new FdSink(loop, target) }));
  }

  #appending(source: fd.Fd, file: fd.Fd, stream: OutputName, again: boolean): Pump {
    const journal = `${this.#request.place}${stream}.journal`;
    const path = parseUri(this.#request[stream]).path;
    return appendToFile(this.#parts.runtime.loop, { source, file, path, journal, warn: this.#warn }, again);
  }

  readonly #warn = (sentence: string): void => {
    this.#parts.log.say("warning", `${this.#request.containerId}: ${sentence}`);
  };

  #readTerminal(source: fd.Fd, sink: Sink): void {
    this.#flows.push(new Pump(this.#parts.runtime.loop, { source, sink }));
  }

  #outputPipe(stream: OutputName): fd.Fd {
    const ends = makeOutputFifo(this.#request.place, stream);
    this.#give(ends.write);
    this.streams[stream] = ends.write.number;
    return ends.read;
  }

  #stdinPipe(): StdinWriter {
    const ends = fd.pipe();
    this.#give(ends.read);
    this.streams.stdin = ends.read.number;
    fd.setNonBlocking(ends.write.number, true);
    this.#stdin = new StdinWriter(this.#parts.runtime.loop, ends.write, false);
    return this.#stdin;
  }

  #give(end: fd.Fd): void {
    this.#given.push(end);
    const { uid, gid } = this.#request;
    if (uid !== 0 || gid !== 0) {
      must("fchown", "pipe", door().syscall(SYS_fchown, end.number, uid, gid));
    }
  }

  /** From the client's FIFO to the process, which sees the end once this end and the client's are closed. */
  #feedStdin(path: string, writer: StdinWriter): void {
    const { source, hold } = openStdin(path);
    this.#stdinHold = hold;
    const sink: Sink = {
      resume: () => {},
      write: (chunk) => {
        if (writer.write(chunk)) return true;
        writer.whenEmpty(() => sink.resume());
        return false;
      },
      end: () => writer.close(),
    };
    this.#stdinPump = new Pump(this.#parts.runtime.loop, { source, sink, foreign: true });
  }

  async #openTerminal(console: Console): Promise<void> {
    const { loop } = this.#parts.runtime;
    const { stdin, stdout, stderr } = this.#request;
    const { output, input } = await console.receive();
    this.#stdin = new StdinWriter(loop, input, true);
    if (isLogUri(stdout)) {
      this.#output = this.#logOutput(stdout, stderr);
      this.#output.listen(stdin === "" ? null : this.#stdin);
      this.#readTerminal(output, this.#output.sink("stdout"));
      return;
    }
    if (stdin !== "" && !stdin.startsWith(ATTACH)) this.#feedStdin(stdin, this.#stdin);
    const target = stdout === "" ? fd.open("/dev/null", fd.O_WRONLY) : await openOutput(this.#parts.runtime, stdout);
    this.#readTerminal(output, new FdSink(loop, target));
  }
}
