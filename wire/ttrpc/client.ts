// The calling side of ttrpc, on both engines: containerd to its shims, the shim to containerd's events.
//
// One connection carries any number of calls at once, told apart by odd stream ids that only grow. A connection that
// ends fails all its open calls with "unavailable" and stays ended: connecting again is the owner's decision.

import { Request, Response } from "../../api/wellknown/gen/ttrpc.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import type { ByteStream, Clock } from "../../base/runtime.ts";
import type { CallOptions, ClientOf, Headers } from "../call.ts";
import type { AnyMethod, AnyService } from "../protobuf/service.ts";
import { encodeFrame, FRAME_REQUEST, FRAME_RESPONSE, type Frame, FrameReader, oversized } from "./frame.ts";
import { pairsOf } from "./metadata.ts";
import { canceledFailure, closedFailure, deadlineFailure, failureOf } from "./status.ts";

/** Stream ids are 32 bits wide and never used twice. */
const STREAM_ID_LIMIT = 0xffff_ffff;

interface OpenCall {
  resolve: (payload: Uint8Array) => void;
  reject: (reason: Failure) => void;
}

export interface TtrpcClientOptions {
  clock: Clock;
  /** Sent with every call: the namespace (NAMESPACE_HEADER), the trace. */
  headers?: Headers;
}

export class TtrpcClient {
  /** Resolves once the connection has ended, from either side. */
  readonly closed: Promise<void>;
  readonly #stream: ByteStream;
  readonly #options: TtrpcClientOptions;
  readonly #calls = new Map<number, OpenCall>();
  #nextId = 1;
  #ended = false;

  /** Owns the connection. */
  constructor(stream: ByteStream, options: TtrpcClientOptions) {
    this.#stream = stream;
    this.#options = options;
    this.closed = this.#receive();
  }

  /** A function per method of the service. `headers` are added to those of the connection. */
  of<S extends AnyService>(service: S, headers: Headers = {}): ClientOf<S> {
    const calls: Record<string, unknown> = {};
    for (const [name, method] of Object.entries(service.methods)) {
      calls[name] = (request: unknown, options: CallOptions = {}) => {
        const merged = { ...options, headers: { ...headers, ...options.headers } };
        return this.call({ service, method, request }, merged);
      };
    }
    return calls as ClientOf<S>;
  }

  async call(what: { service: AnyService; method: AnyMethod; request: unknown }, options: CallOptions = {}) {
    const { service, method, request } = what;
    if (method.clientStream || method.serverStream) {
      throw new Failure("unimplemented", `${service.name}/${method.name}: streams are not carried over ttrpc`);
    }
    const payload = Request.encode({
      service: service.name,
      method: method.name,
      payload: method.request.encode(request),
      timeoutNano: BigInt(Math.round((options.timeout ?? 0) * 1e6)),
      metadata: pairsOf(this.#options.headers, options.headers),
    });
    return method.response.decode(await this.#exchange(payload, options));
  }

  /** Ends the connection; open calls fail. */
  close(): void {
    this.#end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #exchange(payload: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    if (this.#ended) throw closedFailure();
    const id = this.#nextId;
    if (id > STREAM_ID_LIMIT) throw closedFailure(new Error("no stream id is left"));
    const frame = encodeFrame(id, FRAME_REQUEST, payload);
    this.#nextId += 2;
    const answer = new Promise<Uint8Array>((resolve, reject) => void this.#calls.set(id, { resolve, reject }));
    const giveUp = (reason: Failure) => {
      this.#calls.get(id)?.reject(reason);
      this.#calls.delete(id);
    };
    const timeout = options.timeout ?? 0;
    using _timer = timeout > 0 ? this.#options.clock.timer(timeout, () => giveUp(deadlineFailure())) : null;
    using _cancel = options.cancel?.onCancel(() => giveUp(canceledFailure())) ?? null;
    this.#stream.write(frame).catch((thrown) => this.#end(thrown));
    return await answer;
  }

  async #receive(): Promise<void> {
    const frames = new FrameReader(this.#stream);
    try {
      for (let frame = await frames.next(); frame !== null; frame = await frames.next()) this.#deliver(frame);
      this.#end();
    } catch (thrown) {
      this.#end(thrown);
    }
  }

  /** Answers to calls that were given up, and frames of later protocols, are dropped. */
  #deliver(frame: Frame): void {
    const call = this.#calls.get(frame.streamId);
    if (call === undefined || frame.type !== FRAME_RESPONSE) return;
    this.#calls.delete(frame.streamId);
    if (frame.payload === null) {
      call.reject(oversized(frame.length));
      return;
    }
    try {
      const response = Response.decode(frame.payload);
      const failure = failureOf(response.status);
      if (failure === null) call.resolve(response.payload);
      else call.reject(failure);
    } catch (thrown) {
      call.reject(new Failure("internal", `ttrpc: an unusable answer: ${messageOf(thrown)}`, { cause: thrown }));
    }
  }

  #end(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.close();
    for (const call of this.#calls.values()) call.reject(closedFailure(cause));
    this.#calls.clear();
  }
}
