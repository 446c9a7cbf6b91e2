// What a generated service is: names and message types of its methods, from which clients and handlers derive their
// types (wire/ttrpc, wire/grpc).

import type { MessageType } from "./codec.ts";

export interface Method<Request, Response, ClientStream extends boolean, ServerStream extends boolean> {
  /** As on the wire: "Create". */
  readonly name: string;
  readonly request: MessageType<Request>;
  readonly response: MessageType<Response>;
  readonly clientStream: ClientStream;
  readonly serverStream: ServerStream;
}

// biome-ignore lint/suspicious/noExplicitAny: a bound that every method satisfies; `unknown` would be contravariant.
export type AnyMethod = Method<any, any, boolean, boolean>;

export interface Service<Methods extends Record<string, AnyMethod>> {
  /** "containerd.services.tasks.v1.Tasks" */
  readonly name: string;
  /** Keyed by the method's name with a small first letter. */
  readonly methods: Methods;
}

export type AnyService = Service<Record<string, AnyMethod>>;

export type RequestOf<M extends AnyMethod> =
  M extends Method<infer Request, infer _R, boolean, boolean> ? Request : never;
export type ResponseOf<M extends AnyMethod> =
  M extends Method<infer _R, infer Response, boolean, boolean> ? Response : never;
