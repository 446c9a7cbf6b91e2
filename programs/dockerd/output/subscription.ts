// One client's part of a container's output, over the attach socket of its shim. A shim that is killed is followed by
// another one, which holds the output back until its clients are there again: so a connection that ends without being
// told to is made anew, for a bounded time.
//
//     connect ─▶ subscribe ─▶ pieces … ─▶ END: ended
//        ▲                      └─ connection lost ─┐
//        └──────────────────────────────────────────┘   the process has ended, or it takes too long: ended
//
// It says how far its client has the output, and the shim goes on there: nothing comes twice, and nothing is missed but
// what a killed shim kept for a client that was slow.

import { setTimeout as sleep } from "node:timers/promises";
import {
  attachFrame,
  decodePlaces,
  encodePlaces,
  FRAME_END,
  FRAME_ERROR,
  FRAME_STDERR,
  FRAME_STDOUT,
  FRAME_SUBSCRIBE,
  FRAME_SUBSCRIBED,
  PLACES_LENGTH,
  type Places,
} from "../../../api/task/attach.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import { connectPushed, type PushedConnection, type Receiver } from "../../../runtime/node/pushed.ts";
import type { OutputSink } from "../containers/container.ts";
import { type Frame, FrameReader } from "./frames.ts";

/** Milliseconds the shim has for its answer to a subscription. */
const SUBSCRIBE_TIMEOUT_MS = 10_000;
/** Milliseconds for another shim to be there, and between two attempts to reach it. */
const RETURN_TIMEOUT_MS = 40_000;
const RETURN_INTERVAL_MS = 10;
const PIECE = 64 * 1024;

interface End {
  /** The shim said that nothing more comes, or it is one that never says so. */
  told: boolean;
  error: string | null;
}

interface Reading {
  end: Promise<End>;
}

export class Subscription implements Disposable {
  /** Resolves after the sink has its last piece and its end. */
  readonly finished: Promise<void>;
  readonly #path: string;
  readonly #mask: number;
  readonly #sink: OutputSink;
  readonly #setFinished: () => void;
  #connection: PushedConnection | null = null;
  /** Up to where the sink has the output; null until a shim has said where it stands. */
  #places: Places | null = null;
  #disposed = false;
  #last = false;

  constructor(path: string, mask: number, sink: OutputSink) {
    this.#path = path;
    this.#mask = mask;
    this.#sink = sink;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#setFinished = resolve;
  }

  /** Nothing that comes after this can be missed. Between two shims it waits for the next one. */
  async open(): Promise<void> {
    const first = await this.#first().catch((thrown) => {
      this.#setFinished();
      throw thrown;
    });
    void this.#follow(first).then((error) => {
      this.#sink.ended(error);
      this.#setFinished();
    });
  }

  async #first(): Promise<Reading> {
    try {
      return await this.#subscribe();
    } catch {
      return (await this.#again()) ?? (await this.#subscribe());
    }
  }

  /** The process has ended: a shim that is gone is not waited for any more. */
  lastChance(): void {
    this.#last = true;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#connection?.close();
  }

  async #follow(first: Reading): Promise<string | null> {
    for (let reading: Reading | null = first; reading !== null; reading = await this.#again()) {
      const end = await reading.end;
      if (end.told || end.error !== null || this.#disposed) return end.error;
    }
    return null;
  }

  /** Null when there will be none. */
  async #again(): Promise<Reading | null> {
    for (const late = performance.now() + RETURN_TIMEOUT_MS; performance.now() < late; ) {
      const reading = await this.#subscribe().catch(() => null);
      if (this.#disposed) this.#connection?.close();
      if (reading !== null || this.#last || this.#disposed) return reading;
      await sleep(RETURN_INTERVAL_MS);
    }
    return null;
  }

  /** Once the shim has answered; then it is read until the connection ends. */
  async #subscribe(): Promise<Reading> {
    const { promise: answered, resolve: subscribed } = Promise.withResolvers<void>();
    const { promise: end, resolve: ended } = Promise.withResolvers<End>();
    const connection = await connectPushed(this.#path, this.#receiver(subscribed, ended), PIECE);
    this.#connection = connection;
    const had = this.#places === null ? [] : encodePlaces(this.#places);
    connection.write(attachFrame(FRAME_SUBSCRIBE, Uint8Array.of(this.#mask, ...had)));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      connection.close();
    }, SUBSCRIBE_TIMEOUT_MS);
    await Promise.race([answered, end]);
    clearTimeout(timer);
    if (late) throw new Failure("deadline_exceeded", "the shim did not answer a subscription");
    return { end };
  }

  #receiver(subscribed: () => void, ended: (end: End) => void): Receiver {
    const reader = new FrameReader();
    // A connection that ends before its answer is one that nobody had taken.
    const end: End = { told: false, error: null };
    return {
      take: (bytes) => {
        const waits: Promise<void>[] = [];
        try {
          for (const frame of reader.push(bytes)) {
            const room = this.#frame(frame, end, subscribed);
            if (room !== null) waits.push(room);
          }
        } catch (thrown) {
          end.error ??= messageOf(thrown);
          this.#connection?.close();
        }
        return waits.length === 0 ? null : Promise.all(waits);
      },
      ended: (error) => {
        if (error !== null && end.told) end.error = error.message;
        ended(end);
      },
    };
  }

  /** A promise: the sink has enough. */
  #frame({ type, payload }: Frame, end: End, subscribed: () => void): Promise<void> | null {
    if (type === FRAME_STDOUT || type === FRAME_STDERR) {
      if (this.#places !== null) this.#places[type === FRAME_STDOUT ? "stdout" : "stderr"] += payload.length;
      return this.#sink.take(type, payload);
    }
    if (type === FRAME_SUBSCRIBED) {
      // One that says nothing of it never tells the end.
      end.told = payload.length === 0;
      if (payload.length > PLACES_LENGTH) this.#places = decodePlaces(payload.subarray(1));
      subscribed();
    } else if (type === FRAME_END) end.told = true;
    else if (type === FRAME_ERROR) end.error = decodeUtf8(payload);
    return null;
  }
}
