// A connection taken out of HTTP: bytes that came behind the head first, then the stream itself. Closing one half says
// nothing about the other: Go's docker client closes its writing half at once when it has no standard input.

import type { ByteStream } from "../../base/runtime.ts";
import type { Source } from "./source.ts";

export class HijackedStream implements ByteStream {
  readonly #source: Source;
  readonly #stream: ByteStream;

  constructor(source: Source, stream: ByteStream) {
    this.#source = source;
    this.#stream = stream;
  }

  read(into: Uint8Array): Promise<number> {
    return this.#source.read(into);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#stream.write(bytes);
  }

  closeWrite(): void {
    this.#stream.closeWrite();
  }

  close(): void {
    this.#stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
