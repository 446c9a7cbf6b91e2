// The server's side of one connection: requests in, answers out, one after the other, until either side closes or a
// handler takes the stream over. Called by dockerd's listener loop with each accepted connection.
//
//     head ──▶ handler ──send/open──▶ answer done ──keep-alive──▶ head …
//       │         └──────hijack──▶ the stream belongs to the handler
//       └─malformed──▶ 400, close

import { encodeUtf8 } from "../../base/bytes.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import type { ByteStream, Clock } from "../../base/runtime.ts";
import { type BodyReader, openBody, requestFraming } from "./body.ts";
import { malformed, parseRequestHead, type RequestHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import { HijackedStream } from "./hijack.ts";
import { MAX_DRAIN_BYTES } from "./limits.ts";
import { type Answering, Responder } from "./responder.ts";
import { Source } from "./source.ts";

export interface ServerRequest {
  readonly method: string;
  /** The target without its query, still percent-encoded. */
  readonly path: string;
  /** What follows the first question mark; "" without one. */
  readonly query: string;
  readonly headers: HeaderList;
  readonly body: BodyReader;
}

export type Handler = (request: ServerRequest, responder: Responder) => Promise<void>;

export interface ServeOptions {
  /** For the Date header and the head timeout; without it neither is there. */
  clock?: Clock;
  /** Milliseconds a peer may take to send one head, counted from its first byte or the last answer. */
  headTimeout?: number;
  /** Told what a handler threw after its answer had begun, or instead of answering. */
  failed?: (thrown: unknown, request: ServerRequest) => void;
  /** Takes over connections that open with the HTTP/2 preface; without it they are refused. */
  http2?: (stream: ByteStream) => Promise<void>;
}

/** Resolves when the connection is closed, or at once when a handler has taken it over. */
export async function serveConnection(stream: ByteStream, handler: Handler, options: ServeOptions = {}): Promise<void> {
  const source = new Source(stream);
  let hijacked = false;
  try {
    for (;;) {
      const head = await receiveHead(source, stream, options);
      if (head === null) return;
      if (head === "http2") {
        hijacked = true;
        return await options.http2!(new HijackedStream(new Source(stream, encodeUtf8(PREFACE_HEAD)), stream));
      }
      const answering: Answering = { head, source, stream, clock: options.clock ?? null, continued: true };
      const outcome = await serveOne(answering, handler, options);
      hijacked = outcome === "hijacked";
      if (outcome !== "keep-alive") return;
    }
  } catch {
    // A connection that broke: there is nobody left to tell.
  } finally {
    if (!hijacked) stream.close();
  }
}

const PREFACE_HEAD = "PRI * HTTP/2.0\r\n\r\n";

async function receiveHead(
  source: Source,
  stream: ByteStream,
  options: ServeOptions,
): Promise<RequestHead | "http2" | null> {
  const limited = options.clock !== undefined && options.headTimeout !== undefined;
  using _timer = limited ? options.clock!.timer(options.headTimeout!, () => stream.close()) : null;
  try {
    const bytes = await source.readHead();
    if (bytes === null) return null;
    if (options.http2 !== undefined && isHttp2Preface(bytes)) return "http2";
    return checkHead(parseRequestHead(bytes));
  } catch (thrown) {
    await refuse(stream, thrown);
    return null;
  }
}

function isHttp2Preface(bytes: Uint8Array): boolean {
  if (bytes.length !== PREFACE_HEAD.length) return false;
  return bytes.every((byte, at) => byte === PREFACE_HEAD.charCodeAt(at));
}

function checkHead(head: RequestHead): RequestHead {
  const hosts = head.headers.all("host").length;
  if (hosts > 1) throw malformed("too many Host headers");
  if (hosts === 0 && head.minor === 1) throw malformed("missing required Host header");
  requestFraming(head);
  const expect = head.headers.get("expect");
  if (expect !== null && expect.toLowerCase() !== "100-continue") throw malformed("unsupported expectation", 417);
  return head;
}

/** The status a malformed message is answered with; null for anything else that was thrown. */
function statusOf(thrown: unknown): number | null {
  if (!(thrown instanceof Failure) || thrown.code !== "invalid_argument") return null;
  const status = thrown.facts["status"];
  return typeof status === "number" ? status : null;
}

async function refuse(stream: ByteStream, thrown: unknown): Promise<void> {
  const status = statusOf(thrown);
  if (status === null) return;
  const words = status === 400 ? "Bad Request" : status === 505 ? "HTTP Version Not Supported" : "Refused";
  const text = `HTTP/1.1 ${status} ${words}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n`;
  try {
    await stream.write(encodeUtf8(`${text}${status} ${words}: ${messageOf(thrown)}`));
    stream.closeWrite();
  } catch {
    // The peer is gone; closing follows.
  }
}

async function serveOne(
  answering: Answering,
  handler: Handler,
  options: ServeOptions,
): Promise<"keep-alive" | "close" | "hijacked"> {
  const { head, source } = answering;
  const body = expectBody(answering, openBody(source, requestFraming(head)));
  const mark = head.target.indexOf("?");
  const request: ServerRequest = {
    method: head.method,
    path: mark < 0 ? head.target : head.target.slice(0, mark),
    query: mark < 0 ? "" : head.target.slice(mark + 1),
    headers: head.headers,
    body,
  };
  const responder = new Responder(answering);
  try {
    await handler(request, responder);
    if (!responder.sent) throw new Failure("internal", "the handler gave no answer");
  } catch (thrown) {
    options.failed?.(thrown, request);
    if (responder.hijacked) return "hijacked";
    if (responder.sent) return "close"; // cut off, so that the peer sees an unfinished body
    responder.closeAfter();
    if (statusOf(thrown) !== null) {
      await refuse(answering.stream, thrown); // the body it asked for was malformed
      return "close";
    }
    await responder.send(500, [["Content-Type", "text/plain; charset=utf-8"]], encodeUtf8("internal error\n"));
  }
  if (responder.hijacked) return "hijacked";
  if (!responder.finished) return "close";
  return responder.keepsAlive && (await drain(answering, body)) ? "keep-alive" : "close";
}

/** Sends "100 Continue" when the body is first asked for and the client waits for it. */
function expectBody(answering: Answering, body: BodyReader): BodyReader {
  if (answering.head.headers.get("expect") === null || answering.head.minor === 0 || body.done) return body;
  answering.continued = false;
  return {
    get done() {
      return body.done;
    },
    async read() {
      if (!answering.continued) {
        answering.continued = true;
        await answering.stream.write(encodeUtf8("HTTP/1.1 100 Continue\r\n\r\n"));
      }
      return body.read();
    },
  };
}

async function drain(answering: Answering, body: BodyReader): Promise<boolean> {
  if (!answering.continued) return false; // whether the client will still send its body cannot be known
  for (let dropped = 0; !body.done; ) {
    const piece = await body.read();
    dropped += piece?.length ?? 0;
    if (dropped > MAX_DRAIN_BYTES) return false;
  }
  return true;
}
