// The events service over gRPC, and what shims forward over ttrpc.

import type { Events } from "../../../api/containerd/gen/events.ts";
import type { Events as ShimEvents } from "../../../api/task/gen/events.ts";
import type { Exchange } from "../../../core/events/exchange.ts";
import { envelopeFromMessage, envelopeToMessage } from "../../../core/events/remote.ts";
import { typedFromMessage } from "../../../core/messages.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { namespaceOf, signalOf } from "./scope.ts";

export function serveEvents(exchange: Exchange): HandlersOf<typeof Events> {
  return {
    async publish({ topic, event }, context) {
      const timestamp = BigInt(Date.now()) * 1_000_000n;
      exchange.forward({ timestamp, namespace: namespaceOf(context), topic, event: typedFromMessage(event) });
      return {};
    },
    async forward({ envelope }) {
      exchange.forward(envelopeFromMessage(envelope));
      return {};
    },
    async *subscribe({ filters }, context) {
      using caller = signalOf(context);
      for await (const envelope of exchange.subscribe(filters, caller.signal)) yield envelopeToMessage(envelope);
    },
  };
}

export function serveShimEvents(exchange: Exchange): HandlersOf<typeof ShimEvents> {
  return {
    async forward({ envelope }) {
      exchange.forward(envelopeFromMessage(envelope));
      return {};
    },
  };
}
