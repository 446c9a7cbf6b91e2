// The serving side of gRPC on Node: containerd's services and the CRI.
//
//     net.Server ─ attach ─▶ grpc-js ─▶ handler(request or requests, context) ─▶ answer, answers, or a status
//
// Handlers are plain functions over plain messages (wire/call.ts). One that answers with a stream must watch
// context.onCancel while it waits for something: nobody else ends its waiting.

import type { Server as NetServer, Socket } from "node:net";
import type { Duplex, Writable } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { Failure } from "../../base/errors.ts";
import { type AnyHandlers, type CallContext, Cancel, type HandlersOf, type Headers } from "../call.ts";
import type { AnyMethod, AnyService } from "../protobuf/service.ts";
import { CHANNEL_OPTIONS, codecOf, headersOf, NAMESPACE_HEADER } from "./options.ts";
import { hangupFailure, messagesOf, pump } from "./pump.ts";
import { statusOf } from "./status.ts";

type Handler = (request: never, context: CallContext) => unknown;

export class GrpcServer {
  readonly #server = new grpc.Server(CHANNEL_OPTIONS);
  readonly #injector = this.#server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  readonly #sockets = new Set<Socket>();

  register<S extends AnyService>(service: S, handlers: HandlersOf<S>): void {
    const table = handlers as AnyHandlers;
    const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
    const implementation: Record<string, grpc.UntypedHandleCall> = {};
    for (const [name, method] of Object.entries(service.methods)) {
      const handler = table[name];
      definition[method.name] = definitionOf(service.name, method);
      implementation[method.name] = adapt(method, handler === undefined ? missing(method) : handler.bind(table));
    }
    this.#server.addService(definition, implementation);
  }

  /** Serves every connection that the listening server accepts. The caller owns it: its path, its mode, its closing. */
  attach(listening: NetServer): void {
    listening.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      // A reset is that client's end and nobody else's.
      socket.on("error", () => socket.destroy());
      this.#injector.injectConnection(socket);
    });
  }

  /** Ends all calls and connections at once. */
  close(): void {
    this.#injector.destroy();
    this.#server.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function definitionOf(service: string, method: AnyMethod): grpc.MethodDefinition<unknown, unknown> {
  const [request, response] = [codecOf(method.request), codecOf(method.response)];
  return {
    path: `/${service}/${method.name}`,
    requestStream: method.clientStream,
    responseStream: method.serverStream,
    requestSerialize: request.serialize,
    requestDeserialize: request.deserialize,
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  };
}

function missing(method: AnyMethod): Handler {
  return () => {
    throw new Failure("unimplemented", `method ${method.name} not implemented`);
  };
}

class ServedCall extends Cancel implements CallContext {
  readonly headers: Headers;

  constructor(call: { metadata: grpc.Metadata; cancelled: boolean; on(event: string, listener: () => void): unknown }) {
    super();
    this.headers = headersOf(call.metadata);
    call.on("cancelled", () => this.cancel());
    if (call.cancelled) this.cancel();
  }

  get namespace(): string {
    return this.headers[NAMESPACE_HEADER] ?? "";
  }
}

function adapt(method: AnyMethod, handler: Handler): grpc.UntypedHandleCall {
  if (method.serverStream) {
    return (call: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>) =>
      void answerStream(method, handler, call);
  }
  return (
    call: grpc.ServerUnaryCall<unknown, unknown> | grpc.ServerReadableStream<unknown, unknown>,
    callback: grpc.sendUnaryData<unknown>,
  ) => void answerOnce(method, handler, { call, callback });
}

type Request = { request?: unknown };

function requestOf(method: AnyMethod, call: Request | Duplex): never {
  return (method.clientStream ? messagesOf(call as Duplex, hangupFailure) : (call as Request).request) as never;
}

async function answerOnce(
  method: AnyMethod,
  handler: Handler,
  {
    call,
    callback,
  }: {
    call: grpc.ServerUnaryCall<unknown, unknown> | grpc.ServerReadableStream<unknown, unknown>;
    callback: grpc.sendUnaryData<unknown>;
  },
): Promise<void> {
  try {
    callback(null, await handler(requestOf(method, call as Request), new ServedCall(call)));
  } catch (thrown) {
    callback(statusOf(thrown));
  }
}

async function answerStream(
  method: AnyMethod,
  handler: Handler,
  call: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>,
): Promise<void> {
  const context = new ServedCall(call);
  try {
    const answers = handler(requestOf(method, call as unknown as Duplex), context) as AsyncIterable<unknown>;
    await pump(answers, call as unknown as Writable, context);
    call.end();
  } catch (thrown) {
    // The library sends what arrives as an error event as the status of the call.
    if (!context.canceled) call.emit("error", statusOf(thrown));
  }
}
