// What a call is to both wires (ttrpc, gRPC): the types of a service's client and of its handlers, derived from the
// generated const, and what each side knows about a call beyond its message.
//
//     const tasks = client.of(Tasks);            const answer = await tasks.start({ containerId: "a" });
//     server.register(Tasks, { async start(request, context) { return { pid: 1 }; } });
//
// Fields left out of a request or an answer are at their defaults. Streams are async iterables on both sides: the next
// message is taken from the wire when it is asked for, so a slow reader holds the sender back.

import type { AnyMethod, AnyService, Method } from "./protobuf/service.ts";

export interface CallOptions {
  /** Milliseconds until the call fails with "deadline_exceeded"; absent: no limit. */
  timeout?: number;
  /** Added to the client's own headers. Lower-case names. */
  headers?: Headers;
  /** Ends the call early: it fails with "canceled", and the server's context learns it where the wire can tell. */
  cancel?: CancelSource;
}

export type Headers = Readonly<Record<string, string>>;

/** Something that can end calls before their time; `Cancel` below is one. */
export interface CancelSource {
  readonly canceled: boolean;
  /** Calls back once: when it happens, or at once if it has. Disposed, it does not call any more. */
  onCancel(callback: () => void): Disposable;
}

/** What a handler knows about the call it answers. */
export interface CallContext extends CancelSource {
  /** Lower-case names; of a repeated one the first value. */
  readonly headers: Headers;
  /** The containerd namespace the caller named; "" if none. */
  readonly namespace: string;
}

export class Cancel implements CancelSource {
  #callbacks: Set<() => void> | null = null;
  #canceled = false;

  get canceled(): boolean {
    return this.#canceled;
  }

  onCancel(callback: () => void): Disposable {
    if (this.#canceled) {
      callback();
      return { [Symbol.dispose]() {} };
    }
    const callbacks = (this.#callbacks ??= new Set());
    const once = () => callback();
    callbacks.add(once);
    return { [Symbol.dispose]: () => void callbacks.delete(once) };
  }

  cancel(): void {
    if (this.#canceled) return;
    this.#canceled = true;
    const callbacks = this.#callbacks ?? [];
    this.#callbacks = null;
    for (const callback of callbacks) callback();
  }
}

type ClientCall<M extends AnyMethod> =
  M extends Method<infer Q, infer R, infer ClientStream, infer ServerStream>
    ? (
        request: ClientStream extends true ? AsyncIterable<Partial<Q>> : Partial<Q>,
        options?: CallOptions,
      ) => ServerStream extends true ? AsyncIterable<R> : Promise<R>
    : never;

type Handler<M extends AnyMethod> =
  M extends Method<infer Q, infer R, infer ClientStream, infer ServerStream>
    ? (
        request: ClientStream extends true ? AsyncIterable<Q> : Q,
        context: CallContext,
      ) => ServerStream extends true ? AsyncIterable<Partial<R>> : Promise<Partial<R>>
    : never;

/** A function per method. */
export type ClientOf<S extends AnyService> = { readonly [Name in keyof S["methods"]]: ClientCall<S["methods"][Name]> };

/** A function per method; one that is missing is answered with "unimplemented". */
export type HandlersOf<S extends AnyService> = {
  readonly [Name in keyof S["methods"]]?: Handler<S["methods"][Name]>;
};

/** All methods of a service under their names, without looking at their types. */
export type AnyHandlers = Readonly<Record<string, ((request: never, context: CallContext) => unknown) | undefined>>;
