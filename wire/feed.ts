// A stream of messages that somebody pushes into: what a handler answers event by event, what a client sends step by
// step. One reader.
//
//     push() ──▶ at most `limit` waiting ──▶ for await
//
// push tells whether there was room; a writer that may wait uses send, one that may not (events for a slow subscriber)
// ends the feed with a failure when push gives false.

import { Failure } from "../base/errors.ts";

export class Feed<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #waiting: T[] = [];
  #ended = false;
  #failure: unknown = null;
  #reader: (() => void) | null = null;
  #room: (() => void)[] = [];

  /** Messages that may wait for the reader. */
  constructor(limit = 1) {
    this.#limit = limit;
  }

  /** False, and nothing is kept, when the feed is full or has ended. */
  push(value: T): boolean {
    if (this.#ended || this.#waiting.length >= this.#limit) return false;
    this.#waiting.push(value);
    this.#wake();
    return true;
  }

  /** Waits for room; throws when the feed ended meanwhile. */
  async send(value: T): Promise<void> {
    while (!this.push(value)) {
      if (this.#ended) throw this.#failure ?? new Failure("canceled", "the stream has ended");
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
  }

  /** No more comes; what waits is still read. With a failure the reader gets that at the end. */
  end(failure: unknown = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wake();
    this.#release();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    try {
      for (;;) {
        while (this.#waiting.length > 0) {
          const value = this.#waiting.shift()!;
          this.#release();
          yield value;
        }
        if (this.#failure !== null) throw this.#failure;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#reader = resolve;
        });
      }
    } finally {
      // The reader went away: whoever sends must not wait for it.
      this.#waiting.length = 0;
      this.end();
    }
  }

  #wake(): void {
    const reader = this.#reader;
    this.#reader = null;
    reader?.();
  }

  #release(): void {
    for (const resolve of this.#room.splice(0)) resolve();
  }
}
