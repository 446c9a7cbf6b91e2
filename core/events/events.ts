// Events: what happened, told to whoever subscribed. Nothing is kept: a subscriber hears what comes after it.
//
//     stores, task manager ──publish──▶ exchange ──▶ [bounded queue] ──▶ subscriber
//     shims ──ttrpc Forward────────────▶    │
//                                           └──▶ in-process listeners
//
// A subscriber that does not read is dropped when its queue is full; it never holds up what publishes.

import type { TypedValue } from "../values.ts";

export interface Envelope {
  /** Nanoseconds since 1970. */
  readonly timestamp: bigint;
  readonly namespace: string;
  /** `/tasks/exit` */
  readonly topic: string;
  readonly event: TypedValue | null;
}

export interface EventSource {
  /** Ends when `signal` is aborted; throws "resource_exhausted" when this side read too slowly. */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
  /** Publishes in the caller's namespace, with the time of arrival. */
  publish(topic: string, event: TypedValue): Promise<void>;
}
