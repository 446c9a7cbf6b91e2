// containerd's own exchange: fan-out in memory, with a bounded queue for each subscriber.

import { Failure } from "../../base/errors.ts";
import { type Filter, parseFilters } from "../filters/filter.ts";
import type { TypedValue } from "../values.ts";
import type { Envelope } from "./events.ts";

const QUEUE_LIMIT = 16_384; // envelopes waiting for one subscriber
const TOPIC = /^\/[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/;

/** The value at a path inside an event's message, for filters such as `event.container_id==x`. */
export type EventFields = (event: TypedValue, path: readonly string[]) => string | null;

interface Subscriber {
  filter: Filter;
  queue: Envelope[];
  overflowed: boolean;
  wake: (() => void) | null;
}

export class Exchange {
  private readonly subscribers = new Set<Subscriber>();
  private readonly listeners = new Set<(envelope: Envelope) => void>();
  private readonly fields: EventFields;

  constructor(fields: EventFields) {
    this.fields = fields;
  }

  forward(envelope: Envelope): void {
    if (!TOPIC.test(envelope.topic)) {
      throw new Failure("invalid_argument", `envelope topic "${envelope.topic}" must be a path: invalid argument`);
    }
    for (const listener of this.listeners) listener(envelope);
    const read = (path: readonly string[]): string | null => this.field(envelope, path);
    for (const subscriber of this.subscribers) {
      if (subscriber.overflowed || !subscriber.filter(read)) continue;
      if (subscriber.queue.length >= QUEUE_LIMIT) {
        subscriber.overflowed = true;
        subscriber.queue = [];
      } else subscriber.queue.push(envelope);
      subscriber.wake?.();
    }
  }

  /** Hears everything, at once and in order; must not throw. */
  listen(listener: (envelope: Envelope) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  /** Subscribed from the call on, not from the first read. */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope> {
    const subscriber: Subscriber = { filter: parseFilters(filters), queue: [], overflowed: false, wake: null };
    this.subscribers.add(subscriber);
    const leave = (): void => {
      this.subscribers.delete(subscriber);
      subscriber.wake?.();
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
    return this.drain(subscriber, signal);
  }

  private async *drain(subscriber: Subscriber, signal: AbortSignal): AsyncIterable<Envelope> {
    try {
      while (!signal.aborted) {
        if (subscriber.overflowed) {
          throw new Failure("resource_exhausted", `subscriber fell more than ${QUEUE_LIMIT} events behind`);
        }
        const batch = subscriber.queue;
        subscriber.queue = [];
        yield* batch;
        if (subscriber.queue.length > 0 || signal.aborted || subscriber.overflowed) continue;
        await new Promise<void>((wake) => {
          subscriber.wake = wake;
        });
        subscriber.wake = null;
      }
    } finally {
      this.subscribers.delete(subscriber);
    }
  }

  private field(envelope: Envelope, path: readonly string[]): string | null {
    if (path[0] === "namespace") return envelope.namespace;
    if (path[0] === "topic") return envelope.topic;
    if (path[0] !== "event" || envelope.event === null) return null;
    return this.fields(envelope.event, path.slice(1));
  }
}
