// A client on the other side of a hijacked connection, as an attachment to a container or exec: output through a queue
// that never holds the container up, input as it comes, detach keys on terminals.
//
//   container ──take()──▶ SpillQueue ──▶ client          client ──pump──▶ DetachScanner ──▶ container's stdin

import { encodeFrame, FRAME_STREAMS, MULTIPLEXED_TYPE, RAW_TYPE } from "../../../../api/engine/frames.ts";
import { encodeUtf8 } from "../../../../base/bytes.ts";
import type { ByteStream } from "../../../../base/runtime.ts";
import type { Attachment, ContainerStreams, StdinWriter } from "../../containers/container.ts";
import { SpillQueue } from "../../output/spill.ts";
import { DetachScanner } from "./detach.ts";

export interface AttachOptions {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** Raw output instead of frames. */
  tty: boolean;
  /** The end of the client's input closes the container's. */
  closeStdinAtEnd: boolean;
  /** The end of the client's input ends this attachment as well. */
  endWithStdin: boolean;
  detachKeys: string;
  /** For output that a slow client has not read yet. */
  spillDirectory: string;
}

export function streamType(version: { since: (version: string) => boolean }, tty: boolean): string {
  return version.since("1.42") && !tty ? MULTIPLEXED_TYPE : RAW_TYPE;
}

export class ClientAttachment implements Attachment {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly #options: AttachOptions;
  readonly #queue: SpillQueue;
  #subscription: Disposable | null = null;
  #input: StdinWriter | null = null;
  #connected: (streams: ContainerStreams | null) => void = () => {};
  readonly #ready: Promise<ContainerStreams | null>;
  #detached = false;

  constructor(options: AttachOptions) {
    this.#options = options;
    this.stdin = options.stdin;
    this.stdout = options.stdout;
    this.stderr = options.stderr;
    this.#queue = new SpillQueue(options.spillDirectory, () => {
      this.#subscription?.[Symbol.dispose]();
      this.#queue.end("the client did not read for too long");
    });
    this.#ready = new Promise((resolve) => {
      this.#connected = resolve;
    });
  }

  /** Bytes that go to the client before anything the container says from now on (logs=1). */
  preface(type: 1 | 2, bytes: Uint8Array): void {
    this.#queue.push(this.#options.tty ? bytes : encodeFrame(FRAME_STREAMS[type], bytes));
  }

  async connect(streams: ContainerStreams): Promise<void> {
    const { stdout, stderr } = this;
    // What its client has not read is kept once: by the shim, where there is one.
    if (streams.keepsForClients) this.#queue.directory = null;
    if (stdout || stderr) {
      this.#subscription = await streams.subscribe(
        { stdout, stderr },
        {
          take: (type, bytes) => this.#take(type, bytes),
          ended: (error) => {
            this.#queue.end(error);
          },
        },
      );
    }
    this.#connected(streams);
  }

  abandon(): void {
    this.#queue.end();
    this.#connected(null);
  }

  /** Serves the client until output ended and `settled` resolved, or it went away. `detached` is told when it used its
   *  keys. A client asks for the exit code as soon as its stream ends, so the code has to be known by then. */
  async serve(stream: ByteStream, detached: () => void, settled: Promise<void> = Promise.resolve()): Promise<void> {
    const input = this.#readInput(stream, detached).catch(() => {});
    try {
      await this.#queue.drain((piece) => stream.write(piece));
      const { error } = this.#queue;
      if (error !== null) await stream.write(this.#words(error));
      if (!this.#detached) await settled;
      stream.closeWrite();
    } catch {
      // The client is gone.
    } finally {
      this.#subscription?.[Symbol.dispose]();
      this.#queue[Symbol.dispose]();
    }
    this.#connected(null);
    // Whoever still sends may finish; a client that got its end closes by itself.
    await Promise.race([input, new Promise((resolve) => setTimeout(resolve, LINGER_MS).unref())]);
    stream.close();
  }

  #take(type: 1 | 2, bytes: Uint8Array): Promise<void> | null {
    return this.#queue.push(this.#options.tty ? bytes.slice() : encodeFrame(FRAME_STREAMS[type], bytes));
  }

  /** Why output ends too early: with a terminal there are no frames to say it in. */
  #words(error: string): Uint8Array {
    const text = `error from daemon in stream: ${error}`;
    return this.#options.tty ? encodeUtf8(`\r\n${text}\r\n`) : encodeFrame("failure", encodeUtf8(error));
  }

  async #readInput(stream: ByteStream, detached: () => void): Promise<void> {
    const scanner = new DetachScanner(this.#options.tty ? this.#options.detachKeys : "none");
    const streams = this.stdin ? await this.#ready : null;
    this.#input = streams === null ? null : await streams.openStdin();
    const buffer = new Uint8Array(32 * 1024);
    for (;;) {
      const count = await stream.read(buffer);
      if (count === 0) break;
      if (this.#input === null) continue;
      const { bytes, detach } = scanner.push(buffer.subarray(0, count));
      if (bytes.length > 0) await this.#input.write(bytes);
      if (!detach) continue;
      this.#detached = true;
      detached();
      this.#queue.end();
      return;
    }
    await this.#endOfInput();
  }

  async #endOfInput(): Promise<void> {
    if (this.#input === null) return;
    if (this.#options.closeStdinAtEnd) await this.#input.close().catch(() => {});
    else if (this.#options.endWithStdin) this.#queue.end();
  }

  get detached(): boolean {
    return this.#detached;
  }
}

/** Milliseconds a connection stays half open after its output ended. */
const LINGER_MS = 2000;
