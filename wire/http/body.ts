// The body of a message as a reader of pieces: by length, in chunks, or until the connection ends. The framing is
// decided here, and two framings in one message are refused, because a neighbour might choose the other one.

import { type Bytes, concatBytes, decodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { malformed, type RequestHead, type ResponseHead } from "./head.ts";
import { MAX_BUFFER_BYTES, MAX_CHUNK_LINE_BYTES, MAX_HEADERS } from "./limits.ts";
import type { Source } from "./source.ts";

export interface BodyReader {
  /** The next piece, never empty, the caller's to keep; null at the end of the body. */
  read(): Promise<Bytes | null>;
  /** True once the last byte of the body was read. */
  readonly done: boolean;
}

export type Framing = { kind: "none" } | { kind: "length"; length: number } | { kind: "chunked" } | { kind: "close" };

export function requestFraming(head: RequestHead): Framing {
  const stated = statedFraming(head);
  if (stated?.kind === "chunked" && head.minor === 0) throw malformed("unsupported transfer encoding");
  return stated ?? { kind: "none" };
}

export function responseFraming(head: ResponseHead, method: string): Framing {
  if (method === "HEAD" || head.status < 200 || head.status === 204 || head.status === 304) return { kind: "none" };
  return statedFraming(head) ?? { kind: "close" };
}

function statedFraming(head: RequestHead | ResponseHead): Framing | null {
  const encodings = head.headers.all("transfer-encoding");
  const lengths = head.headers.all("content-length");
  if (encodings.length > 0) {
    if (lengths.length > 0) throw malformed("both Transfer-Encoding and Content-Length");
    if (encodings.length > 1 || encodings[0]!.toLowerCase() !== "chunked") {
      throw malformed("unsupported transfer encoding", 501);
    }
    return { kind: "chunked" };
  }
  if (lengths.length === 0) return null;
  if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0]!)) throw malformed("bad Content-Length");
  const length = Number(lengths[0]);
  return length === 0 ? { kind: "none" } : { kind: "length", length };
}

export function openBody(source: Source, framing: Framing): BodyReader {
  switch (framing.kind) {
    case "none":
      return EMPTY_BODY;
    case "length":
      return new LengthBody(source, framing.length);
    case "chunked":
      return new ChunkedBody(source);
    case "close":
      return new CloseBody(source);
  }
}

export const EMPTY_BODY: BodyReader = { read: () => Promise.resolve(null), done: true };

/** The whole body in one piece. Throws Failure "resource_exhausted" beyond `limit` bytes. */
export async function readWhole(body: BodyReader, limit: number): Promise<Bytes> {
  const pieces: Bytes[] = [];
  let length = 0;
  for (let piece = await body.read(); piece !== null; piece = await body.read()) {
    length += piece.length;
    if (length > limit) {
      throw new Failure("resource_exhausted", `message body exceeds ${limit} bytes`, { facts: { status: 413 } });
    }
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0]! : concatBytes(pieces);
}

class LengthBody implements BodyReader {
  readonly #source: Source;
  #left: number;

  constructor(source: Source, length: number) {
    this.#source = source;
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  async read(): Promise<Bytes | null> {
    if (this.#left === 0) return null;
    const piece = await this.#source.readPiece(Math.min(this.#left, MAX_BUFFER_BYTES));
    if (piece === null) throw malformed("unexpected end inside a body");
    this.#left -= piece.length;
    return piece;
  }
}

class ChunkedBody implements BodyReader {
  readonly #source: Source;
  #left = 0;
  #first = true;
  done = false;

  constructor(source: Source) {
    this.#source = source;
  }

  async read(): Promise<Bytes | null> {
    if (this.done) return null;
    if (this.#left === 0 && !(await this.#nextChunk())) return null;
    const piece = await this.#source.readPiece(Math.min(this.#left, MAX_BUFFER_BYTES));
    if (piece === null) throw malformed("unexpected end inside a body");
    this.#left -= piece.length;
    return piece;
  }

  async #nextChunk(): Promise<boolean> {
    if (!this.#first && (await this.#source.readLine(2)).length > 0) throw malformed("malformed chunked encoding");
    this.#first = false;
    const line = decodeUtf8(await this.#source.readLine(MAX_CHUNK_LINE_BYTES));
    const match = /^([0-9a-fA-F]{1,13})[ \t]*(?:;.*)?$/s.exec(line);
    if (match === null) throw malformed("malformed chunked encoding");
    this.#left = Number.parseInt(match[1]!, 16);
    if (this.#left > 0) return true;
    for (let lines = 0; (await this.#source.readLine(MAX_CHUNK_LINE_BYTES)).length > 0; lines++) {
      if (lines >= MAX_HEADERS) throw malformed("too many trailers");
    }
    this.done = true;
    return false;
  }
}

class CloseBody implements BodyReader {
  readonly #source: Source;
  done = false;

  constructor(source: Source) {
    this.#source = source;
  }

  async read(): Promise<Bytes | null> {
    const piece = this.done ? null : await this.#source.readPiece(MAX_BUFFER_BYTES);
    if (piece === null) this.done = true;
    return piece;
  }
}
