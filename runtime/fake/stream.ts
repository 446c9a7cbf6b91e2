// Two connected ByteStreams in memory, for tests of codecs: what one writes the other reads, in pieces the test
// chooses.

import { Failure } from "../../base/errors.ts";
import type { Connection } from "../../base/runtime.ts";

/** `pieceLength` gives the most bytes the next read may return. */
export function streamPair(pieceLength: () => number = () => 65536): [Connection, Connection] {
  const [up, down] = [new Channel(pieceLength), new Channel(pieceLength)];
  return [new End(up, down), new End(down, up)];
}

class Channel {
  readonly pieceLength: () => number;
  readonly pieces: Uint8Array[] = [];
  ended = false;
  wake: (() => void) | null = null;

  constructor(pieceLength: () => number) {
    this.pieceLength = pieceLength;
  }

  signal(): void {
    const waiting = this.wake;
    this.wake = null;
    waiting?.();
  }
}

class End implements Connection {
  readonly peer = null;
  readonly #incoming: Channel;
  readonly #outgoing: Channel;
  #closed = false;

  constructor(incoming: Channel, outgoing: Channel) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  async read(into: Uint8Array): Promise<number> {
    for (;;) {
      if (this.#closed) return 0;
      const piece = this.#incoming.pieces[0];
      if (piece !== undefined) {
        const length = Math.min(into.length, piece.length, Math.max(1, this.#incoming.pieceLength()));
        into.set(piece.subarray(0, length));
        if (length === piece.length) this.#incoming.pieces.shift();
        else this.#incoming.pieces[0] = piece.subarray(length);
        return length;
      }
      if (this.#incoming.ended) return 0;
      await new Promise<void>((resolve) => {
        this.#incoming.wake = resolve;
      });
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.#outgoing.ended)
      throw new Failure("unavailable", "write: EPIPE", { facts: { errno: "EPIPE" } });
    if (bytes.length > 0) this.#outgoing.pieces.push(bytes.slice());
    this.#outgoing.signal();
  }

  closeWrite(): void {
    this.#outgoing.ended = true;
    this.#outgoing.signal();
  }

  close(): void {
    this.#closed = true;
    this.closeWrite();
    this.#incoming.ended = true;
    this.#incoming.signal();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
