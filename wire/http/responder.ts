// What a handler answers with: one whole answer, an open body, or the connection itself. Made by server.ts per request.

import { concatBytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream, Clock } from "../../base/runtime.ts";
import { formatResponseHead, type RequestHead } from "./head.ts";
import type { HeaderLine } from "./headers.ts";
import { HijackedStream } from "./hijack.ts";
import { MAX_BUFFER_BYTES } from "./limits.ts";
import type { Source } from "./source.ts";
import { type BodyWriter, ChunkedWriter, CloseWriter, DISCARD, LengthWriter } from "./writer.ts";

/** One request being answered. `continued` is false while a client waits for "100 Continue". */
export interface Answering {
  readonly head: RequestHead;
  readonly source: Source;
  readonly stream: ByteStream;
  readonly clock: Clock | null;
  continued: boolean;
}

export class Responder {
  readonly #answering: Answering;
  #state: "fresh" | "open" | "finished" | "hijacked" = "fresh";
  #close: boolean;

  constructor(answering: Answering) {
    this.#answering = answering;
    const { headers, minor } = answering.head;
    this.#close =
      headers.hasToken("connection", "close") || (minor === 0 && !headers.hasToken("connection", "keep-alive"));
  }

  /** Whether a head has left: from then on no status can be given any more. */
  get sent(): boolean {
    return this.#state !== "fresh";
  }

  get finished(): boolean {
    return this.#state === "finished";
  }

  get hijacked(): boolean {
    return this.#state === "hijacked";
  }

  get keepsAlive(): boolean {
    return !this.#close;
  }

  /** Ends the connection after this answer. */
  closeAfter(): void {
    this.#close = true;
  }

  /** One whole answer. Without a body (204, 304) no length is stated. */
  async send(status: number, headers: Iterable<HeaderLine>, body: Uint8Array | null = null): Promise<void> {
    const bodyless = status < 200 || status === 204 || status === 304;
    const length: HeaderLine[] = bodyless ? [] : [["Content-Length", String(body?.length ?? 0)]];
    const head = this.#begin(status, [...headers, ...length]);
    const withBody = body !== null && !bodyless && this.#answering.head.method !== "HEAD";
    const small = withBody && body.length <= MAX_BUFFER_BYTES;
    await this.#answering.stream.write(small ? concatBytes([head, body]) : head);
    if (withBody && !small) await this.#answering.stream.write(body);
    this.#state = "finished";
  }

  /** Sends the head at once; the body follows through the writer, whose end finishes the answer. */
  async open(status: number, headers: Iterable<HeaderLine>, length: number | null = null): Promise<BodyWriter> {
    const { stream, head } = this.#answering;
    const lines = [...headers];
    if (length !== null) lines.push(["Content-Length", String(length)]);
    else if (head.minor === 1) lines.push(["Transfer-Encoding", "chunked"]);
    else this.#close = true;
    await stream.write(this.#begin(status, lines));
    let inner: BodyWriter = DISCARD;
    if (head.method !== "HEAD") {
      if (length !== null) inner = new LengthWriter(stream, length);
      else inner = head.minor === 1 ? new ChunkedWriter(stream) : new CloseWriter(stream);
    }
    return {
      write: (bytes) => inner.write(bytes),
      end: async () => {
        await inner.end();
        this.#state = "finished";
      },
    };
  }

  /** Sends the head and gives the connection away, with bytes that have already come: 101 with the Upgrade headers when
   *  the client asked for an upgrade, else 200 and raw bytes from then on. The caller closes the stream. */
  async hijack(headers: Iterable<HeaderLine>): Promise<ByteStream> {
    const { source, stream, head } = this.#answering;
    const upgrade = head.headers.hasToken("connection", "upgrade") ? head.headers.get("upgrade") : null;
    const lines = [...headers];
    if (upgrade !== null) lines.push(["Connection", "Upgrade"], ["Upgrade", upgrade]);
    this.#assertFresh();
    this.#state = "hijacked";
    await stream.write(formatResponseHead(upgrade === null ? 200 : 101, lines));
    return new HijackedStream(source, stream);
  }

  /** Calls back once when the client closes its side while the answer is under way (as Go's server does, this takes the
   *  end of its half for its going). Only after the request's body was read; not for hijacked connections. */
  watchGone(gone: () => void): Disposable {
    let watching = true;
    this.#answering.source.fill().then(
      (more) => watching && !more && gone(),
      () => watching && gone(),
    );
    return {
      [Symbol.dispose]: () => {
        watching = false;
      },
    };
  }

  #begin(status: number, headers: HeaderLine[]): Uint8Array {
    this.#assertFresh();
    const { clock } = this.#answering;
    if (!this.#answering.continued) this.#close = true;
    if (clock !== null) headers.push(["Date", new Date(clock.now()).toUTCString()]);
    if (this.#close) headers.push(["Connection", "close"]);
    const bytes = formatResponseHead(status, headers);
    this.#state = "open";
    return bytes;
  }

  #assertFresh(): void {
    if (this.#state !== "fresh") throw new Failure("failed_precondition", "this request was answered already");
  }
}
