// Settings and encodings that both sides of gRPC share.

import type { ChannelOptions, Metadata } from "@grpc/grpc-js";
import type { Headers } from "../call.ts";
import type { AnyMethod } from "../protobuf/service.ts";

/** containerd's own limit of one message, both ways. Bytes. */
export const MESSAGE_LIMIT = 16 << 20;
/** Between two attempts to reach a daemon that is away. Milliseconds. */
const RECONNECT_FIRST = 50;
const RECONNECT_LIMIT = 1000;
/** The containerd namespace of a call; ttrpc calls it containerd-namespace-ttrpc. */
export const NAMESPACE_HEADER = "containerd-namespace";

export const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": MESSAGE_LIMIT,
  "grpc.max_send_message_length": MESSAGE_LIMIT,
  "grpc.initial_reconnect_backoff_ms": RECONNECT_FIRST,
  "grpc.min_reconnect_backoff_ms": RECONNECT_FIRST,
  "grpc.max_reconnect_backoff_ms": RECONNECT_LIMIT,
  "grpc.default_authority": "localhost",
  "grpc.enable_retries": 0,
};

/** A message both ways, as the library wants it. */
export function codecOf(type: AnyMethod["request"]) {
  return {
    serialize(message: unknown): Buffer {
      const bytes = type.encode(message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    // A plain view: Buffer.slice would share memory where Uint8Array.slice copies.
    deserialize: (bytes: Buffer): unknown => type.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)),
  };
}

/** First value of each name; binary ones are left out. */
export function headersOf(metadata: Metadata): Headers {
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(metadata.getMap())) if (typeof value === "string") headers[name] = value;
  return headers;
}
