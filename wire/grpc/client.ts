// The calling side of gRPC on Node: dockerd and ctr to containerd, over its unix socket.
//
//     const client = new GrpcClient("/run/containerd/containerd.sock", { headers: { [NAMESPACE_HEADER]: "moby" } });
//     const tasks = client.of(Tasks);
//
// The connection is made with the first call and made again when the daemon returns; calls meanwhile fail with
// "unavailable". Failures carry the daemon's code and exact sentence.

import type { Duplex, Readable, Writable } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { Failure } from "../../base/errors.ts";
import { type CallOptions, Cancel, type ClientOf, type Headers } from "../call.ts";
import type { AnyMethod, AnyService } from "../protobuf/service.ts";
import { CHANNEL_OPTIONS, codecOf } from "./options.ts";
import { messagesOf, pump } from "./pump.ts";
import { failureOf } from "./status.ts";

type Requests = AsyncIterable<unknown>;

export class GrpcClient {
  readonly #client: grpc.Client;
  readonly #headers: Headers;

  /** `path` of a unix socket. `headers` go with every call. */
  constructor(path: string, options: { headers?: Headers } = {}) {
    this.#client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
    this.#headers = options.headers ?? {};
  }

  /** A function per method of the service. `headers` are added to those of the connection. */
  of<S extends AnyService>(service: S, headers: Headers = {}): ClientOf<S> {
    const own = { ...this.#headers, ...headers };
    const calls = Object.entries(service.methods).map(([name, method]) => {
      const bound = new BoundMethod(this.#client, service.name, method);
      return [name, (request: unknown, options: CallOptions = {}) => bound.call(request, withHeaders(options, own))];
    });
    return Object.fromEntries(calls) as ClientOf<S>;
  }

  /** Waits until the daemon answers; throws "unavailable" when it did not in time. Milliseconds. */
  ready(timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(Date.now() + timeout, (error) => {
        if (error === undefined) resolve();
        else reject(new Failure("unavailable", "the daemon does not answer", { cause: error }));
      });
    });
  }

  /** Calls that are under way fail. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function withHeaders(options: CallOptions, own: Headers): CallOptions {
  return { ...options, headers: { ...own, ...options.headers } };
}

class BoundMethod {
  readonly #client: grpc.Client;
  readonly #path: string;
  readonly #method: AnyMethod;
  readonly #request;
  readonly #response;

  constructor(client: grpc.Client, service: string, method: AnyMethod) {
    this.#client = client;
    this.#path = `/${service}/${method.name}`;
    this.#method = method;
    this.#request = codecOf(method.request);
    this.#response = codecOf(method.response);
  }

  call(request: unknown, options: CallOptions): unknown {
    if (this.#method.serverStream) return this.#stream(request, options);
    return this.#once(request, options);
  }

  #once(request: unknown, options: CallOptions): Promise<unknown> {
    const [metadata, settings] = callSettings(options);
    const codec = [this.#path, this.#request.serialize, this.#response.deserialize] as const;
    return new Promise((resolve, reject) => {
      const done = (error: grpc.ServiceError | null, value?: unknown) => {
        onCancel?.[Symbol.dispose]();
        if (error === null) resolve(value);
        else reject(failureOf(error));
      };
      const call = this.#method.clientStream
        ? this.#client.makeClientStreamRequest(...codec, metadata, settings, done)
        : this.#client.makeUnaryRequest(...codec, request, metadata, settings, done);
      const onCancel = options.cancel?.onCancel(() => call.cancel());
      if (this.#method.clientStream) void send(request as Requests, call as unknown as Writable & Cancelable, reject);
    });
  }

  async *#stream(request: unknown, options: CallOptions): AsyncGenerator<unknown> {
    const [metadata, settings] = callSettings(options);
    const codec = [this.#path, this.#request.serialize, this.#response.deserialize] as const;
    const call = this.#method.clientStream
      ? this.#client.makeBidiStreamRequest(...codec, metadata, settings)
      : this.#client.makeServerStreamRequest(...codec, request, metadata, settings);
    // The iterator reports a failure; without a listener of its own one that comes after the loop would be uncaught.
    call.on("error", () => {});
    using _cancel = options.cancel?.onCancel(() => call.cancel()) ?? null;
    let broken: unknown = null;
    if (this.#method.clientStream) {
      void send(request as Requests, call as unknown as Duplex & Cancelable, (thrown) => {
        broken = thrown;
      });
    }
    try {
      yield* messagesOf(call as unknown as Readable, (thrown) => broken ?? failureOf(thrown));
    } finally {
      call.cancel();
    }
  }
}

interface Cancelable {
  cancel(): void;
}

/** Sends the caller's messages. When producing them fails the call is canceled and fails with that reason. */
async function send(requests: Requests, call: Writable & Cancelable, failed: (thrown: unknown) => void): Promise<void> {
  const gone = new Cancel();
  call.on("close", () => gone.cancel());
  call.on("error", () => gone.cancel());
  try {
    await pump(requests, call, gone);
    call.end();
  } catch (thrown) {
    failed(thrown);
    call.cancel();
  }
}

function callSettings(options: CallOptions): [grpc.Metadata, grpc.CallOptions] {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  return [metadata, options.timeout === undefined ? {} : { deadline: Date.now() + options.timeout }];
}
