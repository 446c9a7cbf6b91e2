// The client's side: requests over connections that are kept for reuse, bodies sent while the answer is already being
// read (a daemon reports progress during an upload), and connections turned into raw streams.

import { Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { type BodyReader, openBody, responseFraming } from "./body.ts";
import { formatRequestHead, parseResponseHead, type ResponseHead } from "./head.ts";
import { type HeaderLine, HeaderList } from "./headers.ts";
import { HijackedStream } from "./hijack.ts";
import { MAX_IDLE_CONNECTIONS } from "./limits.ts";
import { Source } from "./source.ts";
import { ChunkedWriter } from "./writer.ts";

export interface ClientRequest {
  method: string;
  /** Path and query, percent-encoded. */
  target: string;
  headers?: Iterable<HeaderLine>;
  /** Bytes go with their length, a reader in chunks. */
  body?: Uint8Array | BodyReader | null;
}

export interface ClientResponse {
  readonly status: number;
  readonly headers: HeaderList;
  /** Must be read to its end, or closed, before the connection can serve again. */
  readonly body: BodyReader;
  /** Gives the answer up and closes its connection. */
  close(): void;
}

export interface UpgradedResponse extends ClientResponse {
  /** The raw stream; null when the server answered in HTTP instead, as it does with errors. */
  readonly stream: ByteStream | null;
}

interface Link {
  readonly stream: ByteStream;
  readonly source: Source;
  reused: boolean;
}

export class HttpClient implements Disposable {
  readonly #dial: () => Promise<ByteStream>;
  readonly #host: string;
  readonly #idle: Link[] = [];

  /** `host` goes into the Host header. */
  constructor(dial: () => Promise<ByteStream>, host: string) {
    this.#dial = dial;
    this.#host = host;
  }

  async request(request: ClientRequest): Promise<ClientResponse> {
    const { link, head } = await this.#exchange(request, []);
    const body = openBody(link.source, responseFraming(head, request.method));
    const reusable = head.minor === 1 && !head.headers.hasToken("connection", "close");
    const returned = new ReturningBody(body, () => (reusable ? this.#keep(link) : link.stream.close()));
    return { status: head.status, headers: head.headers, body: returned, close: () => link.stream.close() };
  }

  /** Asks for a raw stream. A server that answers 200 without any framing has switched, too (API 1.21 and older). */
  async upgrade(request: ClientRequest, protocol = "tcp"): Promise<UpgradedResponse> {
    const wanted: HeaderLine[] = [
      ["Connection", "Upgrade"],
      ["Upgrade", protocol],
    ];
    const { link, head } = await this.#exchange(request, wanted);
    const framing = responseFraming(head, request.method);
    const switched = head.status === 101 || (head.status === 200 && framing.kind === "close");
    const stream = switched ? new HijackedStream(link.source, link.stream) : null;
    const body = openBody(link.source, framing);
    return { status: head.status, headers: head.headers, body, stream, close: () => link.stream.close() };
  }

  [Symbol.dispose](): void {
    for (const link of this.#idle.splice(0)) link.stream.close();
  }

  #keep(link: Link): void {
    if (link.source.buffered > 0 || this.#idle.length >= MAX_IDLE_CONNECTIONS) link.stream.close();
    else this.#idle.push(link);
  }

  async #connect(): Promise<Link> {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.reused = true;
      return idle;
    }
    const stream = await this.#dial();
    return { stream, source: new Source(stream), reused: false };
  }

  async #exchange(request: ClientRequest, extra: HeaderLine[]): Promise<{ link: Link; head: ResponseHead }> {
    for (;;) {
      const link = await this.#connect();
      try {
        return { link, head: await exchangeOn(link, this.#host, { ...request, headers: withExtra(request, extra) }) };
      } catch (thrown) {
        link.stream.close();
        const repeatable = !(request.body !== null && typeof request.body === "object" && "read" in request.body);
        // A kept connection may have been closed by the server meanwhile: that is no failure of this request.
        if (!(link.reused && repeatable && thrown instanceof ConnectionLost)) throw thrown;
      }
    }
  }
}

/** The connection ended before any byte of an answer. */
class ConnectionLost extends Failure {
  constructor(cause: unknown) {
    super("unavailable", "EOF", { cause });
  }
}

function withExtra(request: ClientRequest, extra: HeaderLine[]): HeaderLine[] {
  return [...(request.headers ?? []), ...extra];
}

async function exchangeOn(link: Link, host: string, request: ClientRequest): Promise<ResponseHead> {
  const body = request.body ?? null;
  const headers = new HeaderList([["Host", host], ...(request.headers ?? [])]);
  if (body instanceof Uint8Array) headers.set("Content-Length", String(body.length));
  else if (body !== null) headers.set("Transfer-Encoding", "chunked");
  else if (request.method !== "GET" && request.method !== "HEAD") headers.set("Content-Length", "0");
  const head = formatRequestHead(request.method, request.target, headers);
  const sending = sendRequest(link.stream, head, body);
  let sendFailure: unknown = null;
  const sent = sending.catch((thrown: unknown) => {
    sendFailure = thrown;
    // What the user's side could not supply ends the exchange; a server that stopped reading may still have answered.
    if (thrown instanceof BodyFailed) link.stream.close();
  });
  const response = await receiveHead(link).catch(async (thrown: unknown) => {
    if (thrown instanceof ConnectionLost) {
      link.stream.close();
      await sent;
    }
    if (sendFailure instanceof BodyFailed) throw sendFailure.cause;
    throw thrown;
  });
  return response;
}

class BodyFailed extends Error {}

async function sendRequest(stream: ByteStream, head: Uint8Array, body: Uint8Array | BodyReader | null): Promise<void> {
  const writes = [stream.write(head)];
  if (body === null) return void (await writes[0]);
  if (body instanceof Uint8Array) {
    if (body.length > 0) writes.push(stream.write(body));
    return void (await Promise.all(writes));
  }
  await writes[0];
  const writer = new ChunkedWriter(stream);
  for (;;) {
    const piece = await body.read().catch((thrown: unknown) => {
      throw new BodyFailed("the body could not be read", { cause: thrown });
    });
    if (piece === null) return writer.end();
    await writer.write(piece);
  }
}

/** Skips interim answers. */
async function receiveHead(link: Link): Promise<ResponseHead> {
  for (;;) {
    const bytes = await link.source.readHead().catch((thrown: unknown) => {
      if (thrown instanceof Failure && thrown.code === "invalid_argument") throw thrown;
      throw new ConnectionLost(thrown);
    });
    if (bytes === null) throw new ConnectionLost(null);
    const head = parseResponseHead(bytes);
    if (head.status === 101 || head.status >= 200) return head;
  }
}

class ReturningBody implements BodyReader {
  readonly #body: BodyReader;
  readonly #giveBack: () => void;
  #given = false;

  constructor(body: BodyReader, giveBack: () => void) {
    this.#body = body;
    this.#giveBack = giveBack;
    this.#check();
  }

  get done(): boolean {
    return this.#body.done;
  }

  async read() {
    const piece = await this.#body.read();
    this.#check();
    return piece;
  }

  #check(): void {
    if (this.#given || !this.#body.done) return;
    this.#given = true;
    this.#giveBack();
  }
}
