// The sending side of a body: by stated length, in chunks, or raw until the connection ends. The head has left before a
// writer exists, so a peer that waits for headers (docker's wait does) is never held up by a body that comes later.

import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { MAX_JOINED_CHUNK_BYTES } from "./limits.ts";

export interface BodyWriter {
  /** Resolves when the bytes are handed to the kernel. An empty piece is ignored. */
  write(bytes: Uint8Array): Promise<void>;
  /** Marks the end of the body; without it the peer sees the body cut off. */
  end(): Promise<void>;
}

export class ChunkedWriter implements BodyWriter {
  readonly #stream: ByteStream;
  #ended = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#ended) throw new Failure("failed_precondition", "write after the end of a body");
    if (bytes.length === 0) return;
    const head = encodeUtf8(`${bytes.length.toString(16)}\r\n`);
    const tail = encodeUtf8("\r\n");
    if (bytes.length <= MAX_JOINED_CHUNK_BYTES) return this.#stream.write(concatBytes([head, bytes, tail]));
    const parts = [this.#stream.write(head), this.#stream.write(bytes), this.#stream.write(tail)];
    await Promise.all(parts);
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#stream.write(encodeUtf8("0\r\n\r\n"));
  }
}

export class LengthWriter implements BodyWriter {
  readonly #stream: ByteStream;
  #left: number;

  constructor(stream: ByteStream, length: number) {
    this.#stream = stream;
    this.#left = length;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.#left) throw new Failure("failed_precondition", "body longer than its stated length");
    this.#left -= bytes.length;
    if (bytes.length > 0) await this.#stream.write(bytes);
  }

  async end(): Promise<void> {
    if (this.#left > 0) throw new Failure("failed_precondition", "body shorter than its stated length");
  }
}

/** The end of the connection is the end of the body (HTTP/1.0 peers). */
export class CloseWriter implements BodyWriter {
  readonly #stream: ByteStream;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) await this.#stream.write(bytes);
  }

  async end(): Promise<void> {
    this.#stream.closeWrite();
  }
}

/** For answers to HEAD: the body is not sent. */
export const DISCARD: BodyWriter = { write: () => Promise.resolve(), end: () => Promise.resolve() };
