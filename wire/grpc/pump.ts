// Async iterables to and from the library's object streams, with their backpressure.

import type { Readable, Writable } from "node:stream";
import { Failure } from "../../base/errors.ts";
import type { CancelSource } from "../call.ts";

/** Writes all messages, each when there is room. Ends early, and ends the source, when the call was canceled. */
export async function pump(messages: AsyncIterable<unknown>, into: Writable, cancel: CancelSource): Promise<void> {
  for await (const message of messages) {
    if (cancel.canceled || into.destroyed) return;
    if (!into.write(message)) await room(into, cancel);
  }
}

function room(into: Writable, cancel: CancelSource): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      into.off("drain", done);
      into.off("close", done);
      onCancel[Symbol.dispose]();
      resolve();
    };
    into.on("drain", done);
    into.on("close", done);
    const onCancel = cancel.onCancel(() => queueMicrotask(done));
  });
}

/** The messages of one side of a call. Leaving the loop early keeps the other side as it is (its own iterator would
 *  destroy a duplex). */
export async function* messagesOf<T>(from: Readable, failure: (thrown: unknown) => unknown): AsyncGenerator<T> {
  try {
    for await (const message of from.iterator({ destroyOnReturn: false })) yield message as T;
  } catch (thrown) {
    throw failure(thrown);
  }
}

/** A stream that was destroyed because its peer left. */
export function hangupFailure(thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException).code;
  const premature = code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ABORT_ERR";
  return premature ? new Failure("canceled", "context canceled", { cause: thrown }) : thrown;
}
