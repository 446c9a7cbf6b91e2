// The events of a containerd elsewhere, over gRPC; and an envelope as a message.

import { Events } from "../../api/containerd/gen/events.ts";
import type { Envelope as EnvelopeMessage } from "../../api/containerd/gen/types.ts";
import { Cancel, type Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import {
  nanosecondsFromMessage,
  nanosecondsToMessage,
  required,
  typedFromMessage,
  typedToMessage,
} from "../messages.ts";
import type { Envelope, EventSource } from "./events.ts";

export function remoteEvents(client: GrpcClient, headers: Headers): EventSource {
  const calls = client.of(Events, headers);
  return {
    publish: async (topic, event) => void (await calls.publish({ topic, event: typedToMessage(event) })),
    subscribe: (filters, signal) => {
      const cancel = new Cancel();
      if (signal.aborted) cancel.cancel();
      else signal.addEventListener("abort", () => cancel.cancel(), { once: true });
      return subscribed(calls.subscribe({ filters: [...filters] }, { cancel }), signal);
    },
  };
}

async function* subscribed(messages: AsyncIterable<EnvelopeMessage>, signal: AbortSignal): AsyncIterable<Envelope> {
  try {
    for await (const message of messages) yield envelopeFromMessage(message);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}

export function envelopeFromMessage(message: EnvelopeMessage | null): Envelope {
  const { timestamp, namespace, topic, event } = required(message, "envelope");
  return { timestamp: nanosecondsFromMessage(timestamp), namespace, topic, event: typedFromMessage(event) };
}

export function envelopeToMessage(envelope: Envelope): EnvelopeMessage {
  const { timestamp, namespace, topic, event } = envelope;
  return { timestamp: nanosecondsToMessage(timestamp), namespace, topic, event: typedToMessage(event) };
}
